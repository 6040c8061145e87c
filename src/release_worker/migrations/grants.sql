-- Least privilege for those who share the database: run as its owner, after `release-worker db upgrade`, and again after
-- each upgrade. Roles that nobody logs in as; make your own users members of them:
--     CREATE ROLE shop LOGIN PASSWORD '…' IN ROLE release_worker_app;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'release_worker_app', 'release_worker_worker', 'release_worker_reader', 'release_worker_caller'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

-- Everyone names what is in the schema, and reads.
GRANT USAGE ON SCHEMA ours
TO release_worker_app, release_worker_worker, release_worker_reader, release_worker_caller;
GRANT SELECT ON
    ours.organizations, ours.projects, ours.deployments, ours.deployment_assets, ours.tool_definitions,
    ours.resource_definitions, ours.toolsets, ours.toolset_tools, ours.toolset_resources, ours.prompt_templates,
    ours.system_configs, ours.variations, ours.toolset_versions, ours.source_states, ours.variation_versions,
    ours.toolset_releases, ours.component_states, ours.release_components, ours.release_marks,
    ours.toolset_rollbacks, ours.release_requests, ours.release_bundles, ours.release_worker_alembic_version,
    ours.release_events, ours.release_event_deliveries, ours.release_freezes, ours.toolset_drift,
    ours.release_measurements, ours.release_totals, ours.release_schedules
TO release_worker_app, release_worker_worker, release_worker_reader;
-- But the secrets that sign events, and addresses that may hold others, are for the worker alone.
GRANT SELECT (id, organization_id, project_id, types, receiver, secret_fingerprint, task, queue, after_seq, enabled,
              disabled_reason, failures, failing_since, paused_until, last_delivered_at, last_error, leased_by,
              lease_until, created_by, created_at)
ON ours.release_event_subscriptions TO release_worker_app, release_worker_reader;

-- The apps write live state, but not which release is current; and they ask.
GRANT INSERT, UPDATE, DELETE ON
    ours.organizations, ours.projects, ours.deployments, ours.deployment_assets, ours.tool_definitions,
    ours.resource_definitions, ours.toolset_tools, ours.toolset_resources, ours.prompt_templates,
    ours.system_configs, ours.variations
TO release_worker_app;
GRANT DELETE,
    INSERT (id, organization_id, project_id, slug, name, description, settings, editing_mode, parent_toolset_id,
            created_at, updated_at, deleted_at),
    UPDATE (slug, name, description, settings, editing_mode, parent_toolset_id, updated_at, deleted_at)
ON ours.toolsets TO release_worker_app;
GRANT INSERT (id, kind, toolset_id, idempotency_key, payload, requested_by, traceparent)
ON ours.release_requests TO release_worker_app;
GRANT INSERT (digest, document), UPDATE (document, created_at) ON ours.release_bundles TO release_worker_app;
GRANT INSERT, UPDATE, DELETE ON ours.release_schedules TO release_worker_app;

-- (whoever may release may say when nobody should)
GRANT DELETE, INSERT (id, organization_id, project_id, starts_at, ends_at, reason, created_by)
ON ours.release_freezes TO release_worker_app;

-- The worker writes what a restore touches, and holds what it decides from
GRANT UPDATE (name) ON ours.organizations TO release_worker_worker;
GRANT UPDATE (name, active_deployment_id) ON ours.projects TO release_worker_worker;
-- (to hold a row takes the right to update some column of it) …
GRANT UPDATE (status) ON ours.deployments TO release_worker_worker;
GRANT UPDATE (name)
ON ours.deployment_assets, ours.tool_definitions, ours.resource_definitions TO release_worker_worker;
GRANT INSERT
ON ours.deployments, ours.deployment_assets, ours.tool_definitions, ours.resource_definitions TO release_worker_worker;
GRANT UPDATE (name, description, settings, current_release_id, updated_at) ON ours.toolsets TO release_worker_worker;
-- (staged copies are toolsets that the worker makes and deletes)
GRANT INSERT (id, organization_id, project_id, slug, name, parent_toolset_id), UPDATE (editing_mode, deleted_at)
ON ours.toolsets TO release_worker_worker;
GRANT INSERT, UPDATE, DELETE
ON ours.toolset_tools, ours.toolset_resources, ours.system_configs, ours.variations TO release_worker_worker;
GRANT INSERT, UPDATE ON ours.prompt_templates TO release_worker_worker;

-- … and the records: triggers refuse changes even to it, but for notes, labels, and what retention does.
GRANT INSERT, DELETE ON
    ours.toolset_versions, ours.source_states, ours.variation_versions, ours.toolset_releases,
    ours.component_states, ours.release_components, ours.release_marks
TO release_worker_worker;
GRANT UPDATE (predecessor_id) ON ours.toolset_versions, ours.variation_versions TO release_worker_worker;
GRANT UPDATE (notes, labels, predecessor_id) ON ours.toolset_releases TO release_worker_worker;
GRANT INSERT ON ours.toolset_rollbacks TO release_worker_worker;
-- (requests that ended long ago are deleted)
GRANT INSERT, UPDATE, DELETE ON ours.release_requests TO release_worker_worker;
-- To skip a bundle that is in use takes the right to update some column of it.
GRANT DELETE, UPDATE (created_at) ON ours.release_bundles TO release_worker_worker;
-- Events of requests are written by a trigger, others by the worker, which delivers all of them.
GRANT INSERT, UPDATE, DELETE ON ours.toolset_drift TO release_worker_worker;
GRANT INSERT, UPDATE (dispatched_at), DELETE ON ours.release_events TO release_worker_worker;
GRANT SELECT, INSERT, UPDATE, DELETE
ON ours.release_event_subscriptions, ours.release_event_deliveries TO release_worker_worker;
-- Triggers write what is measured, with their owner's rights; the worker only adds it up.
GRANT DELETE ON ours.release_measurements TO release_worker_worker;
GRANT INSERT, UPDATE ON ours.release_totals TO release_worker_worker;
-- Schedules are the apps'; the worker moves them along, and suspends what cannot fire.
GRANT UPDATE (enabled, next_fire_at, last_fire_at, held_fire_at, held_until, suspended_reason)
ON ours.release_schedules TO release_worker_worker;

-- Whoever may only ask: for toolsets of the organizations that release_callers lists for the user, who sees their requests and
-- releases and nothing else. Apps ask in this way too, without the right to insert into the ledger.
GRANT EXECUTE ON FUNCTION ours.release_worker_request(text, text, text, jsonb, text)
TO release_worker_app, release_worker_caller;
-- (what clients call: apps', callers', and workers, for messages that no client wrote down)
GRANT EXECUTE ON FUNCTION
    ours.release_worker_accept(text, text, text, text, text, text, text, text, integer, boolean, text)
TO release_worker_app, release_worker_caller, release_worker_worker;
GRANT EXECUTE ON FUNCTION ours.release_worker_is_open(uuid) TO release_worker_caller;
GRANT SELECT ON ours.release_requests_of_caller, ours.toolset_releases_of_caller TO release_worker_caller;
GRANT SELECT ON ours.release_callers TO release_worker_app, release_worker_worker, release_worker_reader;
