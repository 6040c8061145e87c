"""Freezes: windows in which the toolsets of a project or an organization stay as they are."""

from alembic import op

revision: str = "0017_freezes"
down_revision: str | None = "0016_events"

TABLE = """
CREATE TABLE release_freezes (
    id uuid DEFAULT release_worker_uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    project_id uuid,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT release_freezes_pkey PRIMARY KEY (id),
    CONSTRAINT release_freezes_organization_id_fkey FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT release_freezes_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT release_freezes_window_check CHECK (
        '1970-01-01 00:00+00' <= starts_at AND starts_at < ends_at AND ends_at < '9999-01-01 00:00+00')
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX release_freezes_organization_id_ends_at_idx ON release_freezes (organization_id, ends_at)")


def downgrade() -> None:
    op.execute("DROP TABLE release_freezes")
