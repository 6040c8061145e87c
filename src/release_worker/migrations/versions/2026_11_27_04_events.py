"""What happened, who wants to be told, and how far that is: an outbox that the ledger's own transactions write."""

from alembic import op

revision: str = "0016_events"
down_revision: str | None = "0015_bundles"

TABLES = (
    """
    CREATE TABLE release_events (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        type text NOT NULL,
        toolset_id uuid,
        project_id uuid,
        organization_id uuid,
        data jsonb DEFAULT '{}'::jsonb NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        dispatched_at timestamptz,
        CONSTRAINT release_events_pkey PRIMARY KEY (id),
        CONSTRAINT release_events_seq_key UNIQUE (seq),
        CONSTRAINT release_events_type_check CHECK (type ~ '^[a-z_]{1,40}[.][a-z_]{1,40}$')
    )
    """,
    "CREATE INDEX release_events_not_dispatched_idx ON release_events (seq) WHERE dispatched_at IS NULL",
    """
    CREATE TABLE release_event_subscriptions (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        organization_id uuid,
        project_id uuid,
        types text[] DEFAULT '{}'::text[] NOT NULL,
        receiver text NOT NULL,
        url text,
        secret text,
        secret_fingerprint text,
        task text,
        queue text,
        after_seq bigint DEFAULT 0 NOT NULL,
        enabled boolean DEFAULT true NOT NULL,
        disabled_reason text,
        failures integer DEFAULT 0 NOT NULL,
        failing_since timestamptz,
        paused_until timestamptz,
        last_delivered_at timestamptz,
        last_error text,
        leased_by uuid,
        lease_until timestamptz,
        created_by text NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT release_event_subscriptions_pkey PRIMARY KEY (id),
        CONSTRAINT release_event_subscriptions_organization_id_fkey
            FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
        CONSTRAINT release_event_subscriptions_project_id_fkey
            FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
        CONSTRAINT release_event_subscriptions_receiver_check CHECK (
            num_nonnulls(url, secret, secret_fingerprint) = 3 AND num_nonnulls(task, queue) = 0
            OR num_nonnulls(url, secret, secret_fingerprint) = 0 AND num_nonnulls(task, queue) = 2)
    )
    """,
    "CREATE INDEX release_event_subscriptions_organization_id_idx ON release_event_subscriptions (organization_id)",
    "CREATE INDEX release_event_subscriptions_project_id_idx ON release_event_subscriptions (project_id)",
    """
    CREATE TABLE release_event_deliveries (
        event_id uuid NOT NULL,
        subscription_id uuid NOT NULL,
        seq bigint NOT NULL,
        attempts integer DEFAULT 0 NOT NULL,
        next_attempt_at timestamptz DEFAULT now() NOT NULL,
        delivered_at timestamptz,
        dead_at timestamptz,
        last_error text,
        CONSTRAINT release_event_deliveries_pkey PRIMARY KEY (event_id, subscription_id),
        CONSTRAINT release_event_deliveries_event_id_fkey
            FOREIGN KEY (event_id) REFERENCES release_events (id) ON DELETE CASCADE,
        CONSTRAINT release_event_deliveries_subscription_id_fkey
            FOREIGN KEY (subscription_id) REFERENCES release_event_subscriptions (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX release_event_deliveries_open_idx ON release_event_deliveries (subscription_id, dead_at, seq)"
    " WHERE delivered_at IS NULL",
)

# Whoever may write a request may let it fail at once, and need not have the right to write events: the function runs as
# its owner, so each table is named with its schema. The result is unpacked once; it may be large.
NOTE_END = """
CREATE FUNCTION release_worker_note_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    happened text;
    result jsonb := coalesce(NEW.result, '{{}}') || '{{}}';
    said jsonb;
BEGIN
    IF NEW.status = 'failed' THEN
        happened := 'request.failed';
        said := jsonb_build_object('error', jsonb_build_object(
            'type', NEW.error -> 'type', 'message', left(NEW.error ->> 'message', 1000)));
    ELSIF NEW.kind IN ('create_release', 'publish', 'import_bundle') AND result -> 'created' = 'true' THEN
        happened := 'release.created';
        said := jsonb_build_object(
            'release_id', result -> 'release_id', 'release_number', result -> 'release_number',
            'toolset_version', result -> 'toolset_version', 'digest', result -> 'digest');
    ELSIF NEW.kind IN ('rollback', 'repair', 'apply_plan')
          AND result -> 'noop' = 'false' AND result -> 'dry_run' = 'false' THEN
        happened := 'rollback.succeeded';
        said := jsonb_build_object(
            'rollback_id', result -> 'rollback_id', 'from_release_number', result -> 'from_release_number',
            'to_release_number', result -> 'to_release_number',
            'current_release_number', result -> 'current_release_number',
            'backup_release_number', result -> 'backup_release_number', 'components', result -> 'components');
    ELSIF NEW.kind = 'mark' THEN
        happened := 'release.marked';
        said := jsonb_build_object('release_number', result -> 'release_number', 'mark', result -> 'mark');
    ELSE
        RETURN NULL;
    END IF;
    INSERT INTO {schema}.release_events (type, toolset_id, project_id, organization_id, data)
    SELECT happened, NEW.toolset_id, place.project_id, place.organization_id,
           jsonb_build_object('request_id', NEW.id, 'operation', NEW.kind, 'actor', NEW.requested_by)
           || jsonb_strip_nulls(jsonb_build_object('path', place.path)) || said
    FROM (SELECT) AS always LEFT JOIN (
        SELECT t.project_id, t.organization_id, o.slug || '/' || p.slug || '/' || t.slug AS path
        FROM {schema}.toolsets t
        JOIN {schema}.projects p ON p.id = t.project_id
        JOIN {schema}.organizations o ON o.id = t.organization_id
        WHERE t.id = NEW.toolset_id
    ) AS place ON true;
    RETURN NULL;
END
$$
"""
TRIGGERS = (
    """
    CREATE TRIGGER release_requests_note_end AFTER UPDATE OF status ON release_requests
        FOR EACH ROW WHEN (NEW.status IN ('succeeded', 'failed') AND NEW.status IS DISTINCT FROM OLD.status)
        EXECUTE FUNCTION release_worker_note_end()
    """,
    """
    CREATE TRIGGER release_requests_note_refusal AFTER INSERT ON release_requests
        FOR EACH ROW WHEN (NEW.status = 'failed')
        EXECUTE FUNCTION release_worker_note_end()
    """,
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(NOTE_END.format(schema=schema))
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER release_requests_note_end ON release_requests")
    op.execute("DROP TRIGGER release_requests_note_refusal ON release_requests")
    op.execute("DROP FUNCTION release_worker_note_end()")
    op.execute("DROP TABLE release_event_deliveries, release_event_subscriptions, release_events")
