"""What metrics are made of: triggers note what ends, in its transaction, so that nothing is counted that did not happen."""

from alembic import op

revision: str = "0018_measurements"
down_revision: str | None = "0017_freezes"

TABLES = (
    """
    CREATE TABLE release_measurements (
        id bigint GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL,
        counted text[] DEFAULT '{}'::text[] NOT NULL,
        seconds jsonb DEFAULT '{}'::jsonb NOT NULL,
        CONSTRAINT release_measurements_pkey PRIMARY KEY (id))
    """,
    """
    CREATE TABLE release_totals (
        name text NOT NULL,
        kind text NOT NULL,
        label text NOT NULL,
        bound double precision NOT NULL,
        total bigint NOT NULL,
        seconds numeric NOT NULL,
        CONSTRAINT release_totals_pkey PRIMARY KEY (name, kind, label, bound))
    """,
    "ALTER TABLE release_requests ADD COLUMN timings jsonb",
)

# The functions run as their owner: whoever may change the ledger need not have the right to write measurements, and has
# not. So each table is named with its schema, and nobody else can have them called by a table of their own.
# An attempt ends when its request is no longer running, or is claimed again because the lease ran out; a request that
# failed without a lease was given up by others. Durations cannot be negative, whatever the clock does.
MEASURE_REQUEST = """
CREATE FUNCTION release_worker_measure_request() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    has_ended boolean := NEW.status IN ('succeeded', 'failed');
    attempt text;
    counted text[] := '{{}}';
    seconds jsonb := '{{}}';
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'running' THEN
        attempt := CASE WHEN NEW.status = 'running' OR NEW.status = 'failed' AND NEW.lease_until IS NULL THEN 'expired'
                        WHEN NEW.status = 'queued' THEN 'postponed'
                        ELSE NEW.status END;
        counted := counted || ('attempts:' || attempt);
        IF OLD.attempts - OLD.attempts_before > 1 THEN
            counted := counted || 'retries:'::text;
        END IF;
        IF attempt = 'postponed' THEN
            counted := counted || ('postponements:' || coalesce(NEW.error ->> 'type', ''));
        END IF;
        IF attempt <> 'expired' AND jsonb_typeof(NEW.timings) = 'object'
           AND NEW.timings IS DISTINCT FROM OLD.timings THEN
            seconds := NEW.timings;
        END IF;
        IF OLD.attempts = 1 THEN
            seconds := seconds || jsonb_build_object(
                'queue_wait', greatest(0, extract(epoch FROM OLD.started_at - OLD.created_at)));
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

MEASURE_RELEASE = """
CREATE FUNCTION release_worker_measure_release() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.release_measurements (kind, counted) VALUES (NEW.kind, ARRAY['releases:']);
    RETURN NULL;
END
$$
"""

TRIGGERS = (
    """
    CREATE TRIGGER release_requests_measure_change AFTER UPDATE OF status, attempts ON release_requests
        FOR EACH ROW
        WHEN (OLD.status IN ('queued', 'running') AND NEW.status IN ('succeeded', 'failed')
              OR OLD.status = 'running' AND (NEW.status = 'queued' OR NEW.attempts > OLD.attempts))
        EXECUTE FUNCTION release_worker_measure_request()
    """,
    """
    CREATE TRIGGER release_requests_measure_refusal AFTER INSERT ON release_requests
        FOR EACH ROW WHEN (NEW.status IN ('succeeded', 'failed')) EXECUTE FUNCTION release_worker_measure_request()
    """,
    """
    CREATE TRIGGER toolset_releases_measure AFTER INSERT ON toolset_releases
        FOR EACH ROW EXECUTE FUNCTION release_worker_measure_release()
    """,
)
FUNCTIONS = ("release_worker_measure_request()", "release_worker_measure_release()")


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    for statement in TABLES:
        op.execute(statement)
    for statement in (MEASURE_REQUEST, MEASURE_RELEASE):
        op.execute(statement.format(schema=schema))
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION release_worker_note_end() FROM PUBLIC")
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("GRANT EXECUTE ON FUNCTION release_worker_note_end() TO PUBLIC")
    op.execute("DROP TRIGGER toolset_releases_measure ON toolset_releases")
    op.execute("DROP TRIGGER release_requests_measure_refusal ON release_requests")
    op.execute("DROP TRIGGER release_requests_measure_change ON release_requests")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("ALTER TABLE release_requests DROP COLUMN timings")
    op.execute("DROP TABLE release_totals")
    op.execute("DROP TABLE release_measurements")
