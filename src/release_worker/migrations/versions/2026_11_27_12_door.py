"""A door in SQL: one function that asks for anything, in the caller's own transaction; and what its callers may read."""

import json
from typing import Any

from alembic import op

from release_worker.domain.database import channel_of

revision: str = "0023_door"
down_revision: str | None = "0022_trace_context"

# What a request of each kind holds: fields that must be given, the others with their defaults, and those of them that
# came later than the kind. Those are left out of a row while they have their defaults, as the client does, so that
# workers of the release before understand it. A new kind or field changes this in a migration of its own.
_RELEASE = {"notes": None, "labels": None, "expected_current_release": None, "override_freeze": None}
_FREEZE = {"override_freeze": None}
FORMS: dict[str, dict[str, Any]] = {
    "create_release": {"others": {**_RELEASE, "only_if_changed": False}, "later": ["override_freeze"]},
    "rollback": {
        "others": {
            "to": None,
            "release_number": None,
            "reason": None,
            "components": None,
            "on_missing": "fail",
            "allow_shared_impact": False,
            "allow_bad": False,
            "expected_current_release": None,
            "dry_run": False,
            **_FREEZE,
        },
        "later": ["to", "allow_bad", "override_freeze"],
    },
    "apply_plan": {"needed": ["plan_id"], "others": {"reason": None, **_FREEZE}, "later": ["override_freeze"]},
    "repair": {
        "others": {
            "reason": None,
            "components": None,
            "on_missing": "fail",
            "allow_shared_impact": False,
            **_FREEZE,
        },
        "later": ["override_freeze"],
    },
    "check_drift": {},
    "diff": {"needed": ["release_number"], "others": {"to": "live", "components": None, "key": None}},
    "pin": {"needed": ["release_number"], "others": {"pinned": True}},
    "prune": {"needed": ["keep"]},
    "mark": {"needed": ["release_number", "mark"], "others": {"reason": None}},
    "status": {},
    "verify": {},
    "stage": {},
    "publish": {"others": _RELEASE, "later": ["override_freeze"]},
    "discard": {},
    "set_mode": {"needed": ["mode"]},
    "import_bundle": {
        "needed": ["bundle"],
        "others": {**_RELEASE, "allow_shared_impact": False},
        "later": ["override_freeze"],
    },
}

# Who is bound to organizations, and to which. Whoever may read the whole ledger anyway is bound to none.
CALLERS = """
CREATE TABLE release_callers (
    role_name text NOT NULL,
    organization_id uuid NOT NULL,
    CONSTRAINT release_callers_pkey PRIMARY KEY (role_name, organization_id),
    CONSTRAINT release_callers_organization_id_fkey
        FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE)
"""

FORM = """
CREATE FUNCTION release_worker_form(kind text) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT forms.every -> kind FROM (SELECT '{forms}'::jsonb) AS forms (every)
$$
"""

# It runs as its owner: whoever asks needs no right on any table. The one who logged in counts, not a role that was set:
# inside the function, that would be the owner.
IS_OPEN = """
CREATE FUNCTION release_worker_is_open(organization uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT has_table_privilege(session_user, '{schema}.release_requests', 'SELECT')
        OR EXISTS (
            SELECT FROM {schema}.release_callers
            WHERE role_name = session_user AND organization_id = organization)
$$
"""

# The live toolset that a name means to this caller. Two statements: each finds its row by an index.
NAMED = """
CREATE FUNCTION release_worker_toolset_named(toolset text, organization text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meant uuid;
    owner uuid;
BEGIN
    IF toolset ~ '{uuid}' THEN
        SELECT t.id, t.organization_id INTO meant, owner
        FROM {schema}.toolsets t WHERE t.id = toolset::uuid AND t.deleted_at IS NULL;
    ELSE
        SELECT t.id, o.id INTO meant, owner
        FROM {schema}.organizations o
        JOIN {schema}.projects p ON p.organization_id = o.id
        JOIN {schema}.toolsets t ON t.project_id = p.id AND t.organization_id = o.id
        WHERE o.slug = split_part(toolset, '/', 1) AND p.slug = split_part(toolset, '/', 2)
          AND t.slug = split_part(toolset, '/', 3) AND t.deleted_at IS NULL
          AND toolset = o.slug || '/' || p.slug || '/' || t.slug;
    END IF;
    IF organization ~ '{uuid}' THEN
        meant := CASE WHEN owner = organization::uuid THEN meant END;
    ELSIF organization IS NOT NULL THEN
        meant := CASE WHEN EXISTS (
            SELECT FROM {schema}.organizations o WHERE o.id = owner AND o.slug = organization) THEN meant END;
    END IF;
    RETURN CASE WHEN {schema}.release_worker_is_open(owner) THEN meant END;
END
$$
"""

REQUEST = """
CREATE FUNCTION release_worker_request(
    kind text, toolset text, actor text, arguments jsonb DEFAULT '{{}}'::jsonb, idempotency_key text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    form jsonb := {schema}.release_worker_form(kind);
    others jsonb := coalesce(form -> 'others', '{{}}'::jsonb) || jsonb_build_object('organization', NULL);
    later text[] := ARRAY(SELECT jsonb_array_elements_text(form -> 'later'));
    needed text[] := ARRAY(SELECT jsonb_array_elements_text(form -> 'needed'));
    wrong text[];
    payload jsonb;
    made text := {schema}.release_worker_uuid7()::text;
    accepted jsonb;
BEGIN
    IF form IS NULL THEN
        RAISE EXCEPTION 'there is no kind of request %', coalesce(quote_literal(left(kind, 100)), 'NULL')
            USING ERRCODE = 'RW001';
    ELSIF toolset IS NULL OR actor IS NULL OR char_length(actor) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'toolset and actor must be given, actor with 1 to 200 characters' USING ERRCODE = 'RW001';
    ELSIF char_length(idempotency_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 200 characters' USING ERRCODE = 'RW001';
    ELSIF jsonb_typeof(arguments) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'arguments must be a JSON object' USING ERRCODE = 'RW001';
    ELSIF octet_length(arguments::text) > 900000 THEN
        RAISE EXCEPTION 'arguments are too long' USING ERRCODE = 'RW001';
    ELSIF jsonb_path_exists(arguments, 'strict $.**{{251}}') THEN
        RAISE EXCEPTION 'arguments are nested too deeply' USING ERRCODE = 'RW001';
    END IF;

    wrong := ARRAY(SELECT name FROM jsonb_object_keys(arguments) AS name
                   WHERE NOT others ? name AND name <> ALL (needed) ORDER BY name);
    IF cardinality(wrong) > 0 THEN
        RAISE EXCEPTION '% does not take these arguments: %', kind, left(array_to_string(wrong, ', '), 500)
            USING ERRCODE = 'RW001',
                  HINT = format('It takes: %s.', array_to_string(needed || ARRAY(
                      SELECT name FROM jsonb_object_keys(others) AS name ORDER BY name), ', '));
    END IF;
    wrong := ARRAY(SELECT name FROM unnest(needed) AS name WHERE arguments -> name IS NULL);
    IF cardinality(wrong) > 0 THEN
        RAISE EXCEPTION '% needs these arguments: %', kind, array_to_string(wrong, ', ') USING ERRCODE = 'RW001';
    END IF;

    IF {schema}.release_worker_toolset_named(toolset, arguments ->> 'organization') IS NULL THEN
        RAISE EXCEPTION 'there is no toolset %', left(toolset, 600) USING ERRCODE = 'RW002';
    END IF;

    payload := (others - later) || arguments || jsonb_build_object('toolset', toolset, 'actor', actor);
    payload := payload - ARRAY(SELECT name FROM unnest(later) AS name WHERE payload -> name = others -> name);
    accepted := {schema}.release_worker_accept(
        made, kind, toolset, arguments ->> 'organization', actor, payload::text, idempotency_key, NULL, 1, true, NULL
    )::jsonb -> 'request';
    IF accepted ->> 'id' = made
        OR accepted ->> 'kind' = kind
        AND (others || (accepted -> 'payload')) - ARRAY['toolset', 'organization']
            = (others || payload) - ARRAY['toolset', 'organization'] THEN
        RETURN accepted ->> 'id';
    END IF;
    RAISE EXCEPTION 'idempotency key % was used for another request', idempotency_key
        USING ERRCODE = 'RW003', DETAIL = format('It is that of request %s.', accepted ->> 'id');
END
$$
"""

# What a client of ours calls, on whatever connection: it has checked the request, and made its id. `crowd`: from how
# many unfinished requests on its toolset has a crowd. `announced`: workers hear of it, as nobody else will publish it.
# The answer is JSON in text: every driver hands it on as it is, with the exact value of each number.
ACCEPT = """
CREATE FUNCTION release_worker_accept(
    request_id text, kind text, toolset text, organization text, actor text, payload text, idempotency_key text,
    traceparent text, crowd integer, announced boolean, key_wait text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meant uuid;
    crowded boolean;
    accepted {schema}.release_requests;
BEGIN
    IF key_wait IS NOT NULL THEN
        PERFORM set_config('lock_timeout', key_wait, true);
    END IF;
    FOR attempt IN 1..5 LOOP
        meant := {schema}.release_worker_toolset_named(toolset, organization);
        IF meant IS NULL AND attempt > 1 THEN
            RAISE EXCEPTION 'the toolset was renamed or deleted meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
        crowded := EXISTS (
            SELECT FROM {schema}.release_requests r
            WHERE r.toolset_id = meant AND r.status IN ('queued', 'running') OFFSET crowd - 1);
        INSERT INTO {schema}.release_requests AS r
            (id, kind, toolset_id, idempotency_key, payload, requested_by, traceparent)
        VALUES (request_id, kind, meant, idempotency_key, payload::jsonb, actor, traceparent)
        ON CONFLICT DO NOTHING RETURNING r.* INTO accepted;
        IF FOUND THEN
            IF announced AND accepted.status = 'queued' THEN
                PERFORM pg_notify('{channel}', request_id);
            END IF;
            RETURN json_build_object(
                'request', accepted, 'behind_others', crowded, 'path', CASE
                    WHEN toolset NOT LIKE '%/%' THEN (
                        SELECT o.slug || '/' || p.slug || '/' || t.slug
                        FROM {schema}.toolsets t
                        JOIN {schema}.projects p ON p.id = t.project_id
                        JOIN {schema}.organizations o ON o.id = t.organization_id
                        WHERE t.id = meant) END);
        END IF;

        SELECT r.* INTO accepted
        FROM {schema}.release_requests r
        WHERE r.id = request_id OR r.toolset_id = meant AND r.idempotency_key = release_worker_accept.idempotency_key
        ORDER BY r.id = request_id DESC LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        IF NOT {schema}.release_worker_is_open(
            (SELECT t.organization_id FROM {schema}.toolsets t WHERE t.id = accepted.toolset_id)) THEN
            RAISE EXCEPTION 'request id % is used already', request_id USING ERRCODE = 'RW003';
        END IF;
        RETURN json_build_object(
            'request', accepted, 'named', coalesce(accepted.toolset_id = meant, false));
    END LOOP;
    RAISE EXCEPTION 'the earlier request was removed meanwhile' USING ERRCODE = 'serialization_failure';
END
$$
"""

REQUESTS_VIEW = """
CREATE VIEW release_requests_of_caller WITH (security_barrier) AS
SELECT r.id, r.kind, r.toolset_id, t.organization_id, r.idempotency_key, r.status, r.attempts, r.result, r.error,
       r.requested_by, r.created_at, r.started_at, r.finished_at
FROM release_requests r JOIN toolsets t ON t.id = r.toolset_id
WHERE release_worker_is_open(t.organization_id)
"""
RELEASES_VIEW = """
CREATE VIEW toolset_releases_of_caller WITH (security_barrier) AS
SELECT r.id, r.toolset_id, t.organization_id, r.release_number, r.kind, r.digest, r.notes, r.labels, r.released_by,
       r.request_id, r.created_at, t.current_release_id = r.id AS current
FROM toolset_releases r JOIN toolsets t ON t.id = r.toolset_id
WHERE release_worker_is_open(t.organization_id)
"""
ACCEPT_SIGNATURE = "release_worker_accept(text, text, text, text, text, text, text, text, integer, boolean, text)"
UUID = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"


def upgrade() -> None:
    name, schema = op.get_bind().exec_driver_sql("SELECT current_schema(), quote_ident(current_schema())").one()
    channel = channel_of(name)
    op.execute(CALLERS)
    op.execute(FORM.format(forms=json.dumps(FORMS)))
    op.execute(IS_OPEN.format(schema=schema))
    op.execute(NAMED.format(schema=schema, uuid=UUID))
    op.execute(REQUEST.format(schema=schema))
    op.execute(ACCEPT.format(schema=schema, channel=channel))
    op.execute("REVOKE EXECUTE ON FUNCTION release_worker_is_open(uuid) FROM PUBLIC")
    op.execute("REVOKE EXECUTE ON FUNCTION release_worker_toolset_named(text, text) FROM PUBLIC")
    op.execute("REVOKE EXECUTE ON FUNCTION release_worker_request(text, text, text, jsonb, text) FROM PUBLIC")
    op.execute(f"REVOKE EXECUTE ON FUNCTION {ACCEPT_SIGNATURE} FROM PUBLIC")
    op.execute(REQUESTS_VIEW)
    op.execute(RELEASES_VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW toolset_releases_of_caller, release_requests_of_caller")
    op.execute(f"DROP FUNCTION {ACCEPT_SIGNATURE}")
    op.execute("DROP FUNCTION release_worker_request(text, text, text, jsonb, text)")
    op.execute("DROP FUNCTION release_worker_toolset_named(text, text)")
    op.execute("DROP FUNCTION release_worker_is_open(uuid)")
    op.execute("DROP FUNCTION release_worker_form(text)")
    op.execute("DROP TABLE release_callers")
