"""A request that succeeds at once, without having run, has had one attempt: it is measured as any other."""

from alembic import op

revision: str = "0026_at_once"
down_revision: str | None = "0025_orphans"

MEASURE_REQUEST = """
CREATE OR REPLACE FUNCTION release_worker_measure_request() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    has_ended boolean := NEW.status IN ('succeeded', 'failed');
    attempt text;
{declared}    counted text[] := '{{}}';
    seconds jsonb := '{{}}';
BEGIN
    IF TG_OP = 'UPDATE' AND {ended} THEN
        attempt := CASE WHEN NEW.status = 'running' OR NEW.status = 'failed' AND NEW.lease_until IS NULL THEN 'expired'
                        WHEN NEW.status = 'queued' THEN 'postponed'
                        ELSE NEW.status END;
        counted := counted || ('attempts:' || attempt);
        IF {number} - OLD.attempts_before > 1 THEN
            counted := counted || 'retries:'::text;
        END IF;
        IF attempt = 'postponed' THEN
            counted := counted || ('postponements:' || coalesce(NEW.error ->> 'type', ''));
        END IF;
        IF attempt <> 'expired' AND jsonb_typeof(NEW.timings) = 'object'
           AND NEW.timings IS DISTINCT FROM OLD.timings THEN
            seconds := NEW.timings;
        END IF;
        IF {number} = 1 THEN
            seconds := seconds || jsonb_build_object(
                'queue_wait', greatest(0, extract(epoch FROM {begun} - OLD.created_at)));
        END IF;
    END IF;
    IF has_ended THEN
        counted := counted || ('requests:' || NEW.status);
        IF NEW.status = 'failed' THEN
            counted := counted || ('failures:' || coalesce(NEW.error ->> 'type', ''));
        END IF;
        IF NEW.attempts_before = 0 THEN
            seconds := seconds || jsonb_build_object(
                'request', greatest(0, extract(epoch FROM NEW.finished_at - NEW.created_at)));
        END IF;
    END IF;
    INSERT INTO {schema}.release_measurements (kind, counted, seconds) VALUES (NEW.kind, counted, jsonb_strip_nulls(seconds));
    RETURN NULL;
END
$$
"""
AT_ONCE = "OLD.status = 'queued' AND NEW.status = 'succeeded'"
DECLARED = f"""    number integer := CASE WHEN {AT_ONCE} THEN NEW.attempts ELSE OLD.attempts END;
    begun timestamptz := CASE WHEN {AT_ONCE} THEN NEW.started_at ELSE OLD.started_at END;
"""


def upgrade() -> None:
    _measure(declared=DECLARED, ended=f"(OLD.status = 'running' OR {AT_ONCE})", number="number", begun="begun")


def downgrade() -> None:
    _measure(declared="", ended="OLD.status = 'running'", number="OLD.attempts", begun="OLD.started_at")


def _measure(**expressions: str) -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(MEASURE_REQUEST.format(schema=schema, **expressions))
