"""A request knows in whose trace it was asked: other tasks than its own may carry it out, and its message may be lost."""

from alembic import op

revision: str = "0022_trace_context"
down_revision: str | None = "0021_drift"


def upgrade() -> None:
    op.execute("ALTER TABLE release_requests ADD COLUMN traceparent text")
    # Not checked for the rows that are there, which have none: nobody waits.
    op.execute(
        "ALTER TABLE release_requests ADD CONSTRAINT release_requests_traceparent_check"
        " CHECK (char_length(traceparent) <= 55) NOT VALID"
    )
    op.execute("ALTER TABLE release_requests VALIDATE CONSTRAINT release_requests_traceparent_check")


def downgrade() -> None:
    op.execute("ALTER TABLE release_requests DROP COLUMN traceparent")
