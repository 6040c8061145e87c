"""What waits in the ledger belongs to a toolset and has the form of a request, whoever wrote it."""

from alembic import op

revision: str = "0011_ledger_door"
down_revision: str | None = "0010_depth"

# What is finished stays as it is.
FINISHED = "status IN ('succeeded', 'failed')"
CHECKS = {
    "id": r"char_length(id) BETWEEN 1 AND 255 AND id !~ '[\u0001-\u001f\u007f-\u009f]'",
    "kind": "kind ~ '^[a-z][a-z0-9_]{0,62}$'",
    "idempotency_key": "char_length(idempotency_key) BETWEEN 1 AND 200",
    "requested_by": "char_length(requested_by) BETWEEN 1 AND 200",
    "attempts": "attempts >= 0",
    # No request is longer or nested deeper (labels may be, for 200 levels), and reading one that is could stop whoever
    # reads it.
    "payload": "jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 1000000"
    " AND NOT jsonb_path_exists(payload, 'strict $.**{251}')",
}

# Older software queued requests for toolsets that were not there, to let the operation say so.
FAIL_ORPHANS = """
UPDATE release_requests
SET status = 'failed', finished_at = clock_timestamp(), worker = NULL, lease_until = NULL,
    error = jsonb_build_object(
        'type', 'ToolsetNotFound',
        'message', 'there is no toolset ' || coalesce(payload ->> 'toolset', '?'),
        'details', jsonb_build_object('toolset', payload -> 'toolset'))
WHERE toolset_id IS NULL AND status IN ('queued', 'running')
"""
FAIL_OTHERS = f"""
UPDATE release_requests
SET status = 'failed', finished_at = clock_timestamp(), worker = NULL, lease_until = NULL,
    error = '{{"type": "InvalidRequest", "message": "the row has not the form of a request", "details": {{}}}}'
WHERE status IN ('queued', 'running') AND NOT ({" AND ".join(f"coalesce({check}, true)" for check in CHECKS.values())})
"""

# Whoever asks may not say how a request ended, so the database says it of one that has ended before it began.
REFUSE_ORPHAN = """
CREATE FUNCTION release_worker_refuse_orphan() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := 'failed';
    NEW.finished_at := clock_timestamp();
    NEW.error := jsonb_build_object(
        'type', 'ToolsetNotFound',
        'message', 'there is no toolset ' || coalesce(NEW.payload ->> 'toolset', '?'),
        'details', jsonb_build_object('toolset', NEW.payload -> 'toolset'));
    RETURN NEW;
END
$$
"""
TRIGGER = """
CREATE TRIGGER release_requests_refuse_orphan BEFORE INSERT ON release_requests
    FOR EACH ROW WHEN (NEW.toolset_id IS NULL AND NEW.status = 'queued')
    EXECUTE FUNCTION release_worker_refuse_orphan()
"""


# A retry gives a request as many attempts again, and goes on counting: an attempt's number is never used twice.
COUNT_ON = "ALTER TABLE release_requests ADD COLUMN attempts_before integer DEFAULT 0 NOT NULL"


def upgrade() -> None:
    op.execute(COUNT_ON)
    op.execute(FAIL_ORPHANS)
    op.execute(FAIL_OTHERS)
    op.execute(
        "ALTER TABLE release_requests ADD CONSTRAINT release_requests_toolset_check"
        " CHECK (toolset_id IS NOT NULL OR status = 'failed')"
    )
    for name, condition in CHECKS.items():
        op.execute(
            f"ALTER TABLE release_requests ADD CONSTRAINT release_requests_{name}_check"
            f" CHECK ({FINISHED} OR {condition})"
        )
    op.execute(REFUSE_ORPHAN)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER release_requests_refuse_orphan ON release_requests")
    op.execute("DROP FUNCTION release_worker_refuse_orphan()")
    for name in ("toolset", *CHECKS):
        op.execute(f"ALTER TABLE release_requests DROP CONSTRAINT release_requests_{name}_check")
    op.execute("ALTER TABLE release_requests DROP COLUMN attempts_before")
