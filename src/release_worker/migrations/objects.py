"""What the newest schema has besides tables: functions, views and triggers, which Alembic does not compare. And names
that something else in the database has taken before the first upgrade."""

from sqlalchemy import Connection, text

from release_worker.store.schema_version import VERSION_TABLE
from release_worker.store.tables import metadata

FUNCTIONS = (
    "release_worker_accept",
    "release_worker_canonical",
    "release_worker_digest",
    "release_worker_form",
    "release_worker_is_open",
    "release_worker_measure_release",
    "release_worker_measure_request",
    "release_worker_not_too_deep",
    "release_worker_note_end",
    "release_worker_only_notes_and_labels",
    "release_worker_refuse_change",
    "release_worker_refuse_depth",
    "release_worker_refuse_orphan",
    "release_worker_request",
    "release_worker_toolset_named",
    "release_worker_uuid7",
    "release_worker_without_zeros",
)
VIEWS = ("release_requests_of_caller", "toolset_releases_of_caller")
# `table.trigger`.
TRIGGERS = (
    "component_states.component_states_content_depth",
    "component_states.component_states_immutable",
    "component_states.component_states_not_truncated",
    "release_components.release_components_immutable",
    "release_components.release_components_not_truncated",
    "release_marks.release_marks_immutable",
    "release_marks.release_marks_not_truncated",
    "release_requests.release_requests_measure_change",
    "release_requests.release_requests_measure_refusal",
    "release_requests.release_requests_note_end",
    "release_requests.release_requests_note_refusal",
    "release_requests.release_requests_refuse_orphan",
    "source_states.source_states_deployment_snapshot_depth",
    "source_states.source_states_immutable",
    "source_states.source_states_not_truncated",
    "source_states.source_states_system_snapshot_depth",
    "toolset_releases.toolset_releases_immutable",
    "toolset_releases.toolset_releases_measure",
    "toolset_releases.toolset_releases_not_truncated",
    "toolset_releases.toolset_releases_only_notes_and_labels",
    "toolset_versions.toolset_versions_immutable",
    "toolset_versions.toolset_versions_not_truncated",
    "toolset_versions.toolset_versions_settings_depth",
    "variation_versions.variation_versions_config_depth",
    "variation_versions.variation_versions_immutable",
    "variation_versions.variation_versions_not_truncated",
)

_HERE = "(SELECT oid FROM pg_namespace WHERE nspname = :schema)"
_WITHOUT = f"""
    SELECT format('function %s is missing', name) FROM unnest(CAST(:functions AS text[])) AS name
    WHERE NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = {_HERE} AND proname = name)
    UNION ALL
    SELECT format('view %s is missing', name) FROM unnest(CAST(:views AS text[])) AS name
    WHERE NOT EXISTS (SELECT FROM pg_views WHERE schemaname = :schema AND viewname = name)
    UNION ALL
    SELECT format('trigger %s on table %s is missing', split_part(name, '.', 2), split_part(name, '.', 1))
    FROM unnest(CAST(:triggers AS text[])) AS name
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = {_HERE} AND relname || '.' || tgname = name)
    UNION ALL
    SELECT DISTINCT CASE WHEN tgisinternal THEN format('foreign keys of table %s are disabled', relname)
                         ELSE format('trigger %s on table %s is disabled', tgname, relname) END
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = {_HERE} AND relname = ANY (CAST(:tables AS text[])) AND tgenabled NOT IN ('O', 'A')
      AND (tgisinternal OR relname || '.' || tgname = ANY (CAST(:triggers AS text[])))
    ORDER BY 1
"""
_TAKEN = f"""
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index'
                        WHEN 'I' THEN 'index' WHEN 'c' THEN 'type' ELSE 'table' END || ' ' || relname
    FROM pg_class WHERE relnamespace = {_HERE} AND relname = ANY (CAST(:relations AS text[]))
    UNION ALL
    SELECT 'type ' || typname FROM pg_type
    WHERE typnamespace = {_HERE} AND typname = ANY (CAST(:tables AS text[])) AND typrelid = 0
    UNION ALL
    SELECT DISTINCT 'function ' || proname FROM pg_proc
    WHERE pronamespace = {_HERE} AND proname = ANY (CAST(:functions AS text[]))
    ORDER BY 1
"""


def without(connection: Connection, schema: str) -> list[str]:
    """What somebody has removed or disabled, in words: `trigger … on table … is missing`."""
    return list(connection.execute(text(_WITHOUT), _parameters(schema)).scalars())


def taken(connection: Connection, schema: str) -> list[str]:
    """What has one of our names, tables first, such as `table projects`: in a schema that was never upgraded, it is not
    ours."""
    found = list(connection.execute(text(_TAKEN), _parameters(schema)).scalars())
    return sorted(found, key=lambda one: not one.startswith("table "))


def schemas_with_ours(connection: Connection) -> list[str]:
    """The schemas of this database that have been upgraded, as its catalogue says: also those that the role may not
    use."""
    query = """
        SELECT nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind = 'r' AND relname IN (:versions, 'toolset_releases')
        GROUP BY nspname HAVING count(*) = 2
        ORDER BY nspname
    """
    return list(connection.execute(text(query), {"versions": VERSION_TABLE}).scalars())


def _parameters(schema: str) -> dict[str, object]:
    tables = list(metadata.tables)
    keys = [str(index.name) for table in metadata.tables.values() for index in table.indexes]
    keys += [str(key.name) for table in metadata.tables.values() for key in table.constraints if key.name is not None]
    return {
        "schema": schema,
        "functions": list(FUNCTIONS),
        "views": list(VIEWS),
        "triggers": list(TRIGGERS),
        "tables": tables,
        "relations": [*tables, *VIEWS, *keys],
    }
