"""What people say of releases: good or bad, with a reason. Said once, it stays; the last word counts."""

from alembic import op

revision: str = "0013_marks"
down_revision: str | None = "0012_forms"

TABLE = """
CREATE TABLE release_marks (
    id uuid DEFAULT release_worker_uuid7() NOT NULL,
    release_id uuid NOT NULL,
    mark text NOT NULL,
    reason text,
    marked_by text NOT NULL,
    request_id text,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT release_marks_pkey PRIMARY KEY (id),
    CONSTRAINT release_marks_release_id_fkey FOREIGN KEY (release_id) REFERENCES toolset_releases (id),
    CONSTRAINT release_marks_mark_check CHECK (mark IN ('good', 'bad'))
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX release_marks_release_id_created_at_idx ON release_marks (release_id, created_at)")
    op.execute(
        "CREATE TRIGGER release_marks_immutable BEFORE UPDATE OR DELETE ON release_marks"
        " FOR EACH ROW EXECUTE FUNCTION release_worker_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER release_marks_not_truncated BEFORE TRUNCATE ON release_marks"
        " FOR EACH STATEMENT EXECUTE FUNCTION release_worker_refuse_change()"
    )


def downgrade() -> None:
    op.execute("DROP TABLE release_marks")
