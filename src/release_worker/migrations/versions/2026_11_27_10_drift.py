"""Drift, as the worker saw it last."""

from alembic import op

revision: str = "0021_drift"
down_revision: str | None = "0020_named_requests"

TABLE = """
CREATE TABLE toolset_drift (
    toolset_id uuid NOT NULL,
    release_id uuid,
    drifted boolean DEFAULT false NOT NULL,
    components text[] DEFAULT '{}'::text[] NOT NULL,
    since timestamptz,
    checked_at timestamptz,
    failed text,
    CONSTRAINT toolset_drift_pkey PRIMARY KEY (toolset_id),
    CONSTRAINT toolset_drift_toolset_id_fkey FOREIGN KEY (toolset_id) REFERENCES toolsets (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX toolset_drift_checked_at_idx ON toolset_drift (checked_at)")


def downgrade() -> None:
    op.execute("DROP TABLE toolset_drift")
