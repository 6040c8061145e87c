"""Also a request for no toolset has the form of a request: whoever lists the ledger reads it."""

from alembic import op

revision: str = "0025_orphans"
down_revision: str | None = "0024_schema"

# As the checks of the table, which do not look at what has ended: and this has ended when it is written.
FORM = r"""
    IF char_length(NEW.id) NOT BETWEEN 1 AND 255 OR NEW.id ~ '[\u0001-\u001f\u007f-\u009f]'
        OR NEW.kind !~ '^[a-z][a-z0-9_]{0,62}$'
        OR char_length(NEW.idempotency_key) NOT BETWEEN 1 AND 200
        OR char_length(NEW.requested_by) NOT BETWEEN 1 AND 200
        OR jsonb_typeof(NEW.payload) <> 'object' OR octet_length(NEW.payload::text) > 1000000
        OR jsonb_path_exists(NEW.payload, 'strict $.**{251}') THEN
        RAISE EXCEPTION 'the row has not the form of a request' USING ERRCODE = 'check_violation';
    END IF;
"""
REFUSE_ORPHAN = """
CREATE OR REPLACE FUNCTION release_worker_refuse_orphan() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN{form}
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


def upgrade() -> None:
    op.execute(REFUSE_ORPHAN.format(form=FORM))


def downgrade() -> None:
    op.execute(REFUSE_ORPHAN.format(form=""))
