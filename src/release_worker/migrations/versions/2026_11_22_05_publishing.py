"""When a request was last published, so that a sweep publishes again only what has waited in vain."""

from alembic import op

revision: str = "0005_publishing"
down_revision: str | None = "0004_immutable_records"


def upgrade() -> None:
    op.execute("ALTER TABLE release_requests ADD COLUMN published_at timestamptz")
    op.execute(
        "CREATE INDEX release_requests_unfinished_idx ON release_requests (seq) WHERE status IN ('queued', 'running')"
    )


def downgrade() -> None:
    op.execute("DROP INDEX release_requests_unfinished_idx")
    op.execute("ALTER TABLE release_requests DROP COLUMN published_at")
