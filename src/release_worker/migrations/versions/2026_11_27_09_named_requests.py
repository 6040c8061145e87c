"""Find what names a request, so that requests that nothing names can be deleted when they are old."""

from alembic import op

revision: str = "0020_named_requests"
down_revision: str | None = "0019_schedules"

TABLES = ("toolset_releases", "toolset_rollbacks", "release_marks")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"CREATE INDEX {table}_request_id_idx ON {table} (request_id) WHERE request_id IS NOT NULL")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP INDEX {table}_request_id_idx")
