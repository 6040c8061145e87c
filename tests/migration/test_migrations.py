"""The migrations go up, down and up again, and build the tables that the code believes in."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from release_worker import migrations
from release_worker.errors import NotConfigured
from release_worker.migrations import objects
from release_worker.operations.schema import upgrade_schema
from release_worker.store.tables import metadata
from tests.alembic_check import script_directory
from tests.support.world import World

SCHEMA = """
    SELECT 'column', table_name || '.' || column_name,
           concat_ws(' ', data_type, udt_name, is_nullable, column_default, is_identity, identity_generation)
    FROM information_schema.columns JOIN pg_tables ON schemaname = table_schema AND tablename = table_name
    WHERE table_schema = 'public'
    UNION ALL
    SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""

REVISIONS = [script.revision for script in reversed(list(script_directory().walk_revisions()))]


def schema_of(connection: Connection, *kinds: str) -> dict[tuple[str, str], str]:
    """Definitions by kind and name: of all kinds, or of these."""
    rows = connection.execute(text(SCHEMA)).all()
    connection.rollback()
    version_table = migrations.VERSION_TABLE
    return {
        (kind, name): " ".join(definition.split())
        for kind, name, definition in rows
        if version_table not in name and (not kinds or kind in kinds)
    }


def test_there_is_one_newest_migration() -> None:
    assert script_directory().get_heads() == [migrations.head_revision()]


def test_an_empty_database_has_no_revision(empty: Connection) -> None:
    assert migrations.current_revision(empty) is None


def test_up_down_and_up_again_leaves_the_same_schema(empty: Connection) -> None:
    migrations.upgrade(empty)
    first = schema_of(empty)
    migrations.downgrade(empty, "base")
    assert schema_of(empty) == {}
    migrations.upgrade(empty)
    assert schema_of(empty) == first
    assert migrations.current_revision(empty) == migrations.head_revision()


@pytest.mark.parametrize("step", range(len(REVISIONS)), ids=REVISIONS)
def test_each_migration_can_be_taken_back_by_itself(empty: Connection, step: int) -> None:
    before = REVISIONS[step - 1] if step else "base"
    if step:
        migrations.upgrade(empty, before)
    schema = schema_of(empty)
    migrations.upgrade(empty, REVISIONS[step])
    assert schema_of(empty) != schema
    migrations.downgrade(empty, before)
    assert schema_of(empty) == schema


def test_upgrading_twice_changes_nothing(empty: Connection) -> None:
    migrations.upgrade(empty)
    first = schema_of(empty)
    migrations.upgrade(empty)
    assert schema_of(empty) == first


def test_a_migrated_database_does_not_differ_from_the_tables_in_the_code(empty: Connection) -> None:
    migrations.upgrade(empty)
    assert migrations.differences(empty) == []


def test_the_tables_in_the_code_build_the_same_columns_constraints_and_indexes(empty: Connection) -> None:
    """Defaults and checks too, which `differences` does not compare."""
    kinds = ("column", "constraint", "index")
    migrations.upgrade(empty)
    migrated = schema_of(empty, *kinds)
    migrations.downgrade(empty, REVISIONS[0])
    metadata.create_all(empty)
    empty.commit()
    assert schema_of(empty, *kinds) == migrated


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE toolsets ADD COLUMN colour text",
        "ALTER TABLE deployments DROP COLUMN cloned_from",
        "ALTER TABLE toolset_tools ALTER COLUMN position TYPE bigint",
        "ALTER TABLE toolset_releases ALTER COLUMN source_state_id SET NOT NULL",
        "ALTER TABLE toolset_releases DROP CONSTRAINT toolset_releases_toolset_id_release_number_key",
        "DROP INDEX toolsets_project_id_slug_key",
        "DROP TABLE toolset_rollbacks",
        "DROP FUNCTION release_worker_uuid7() CASCADE",
        "DROP VIEW release_requests_of_caller",
        "DROP TRIGGER toolset_releases_immutable ON toolset_releases",
        "ALTER TABLE source_states DISABLE TRIGGER source_states_immutable",
        "ALTER TABLE source_states ENABLE REPLICA TRIGGER source_states_immutable",
        "ALTER TABLE toolset_tools DISABLE TRIGGER ALL",
    ],
)
def test_a_database_that_was_changed_by_hand_differs(empty: Connection, change: str) -> None:
    migrations.upgrade(empty)
    empty.execute(text(change))
    empty.commit()
    assert migrations.differences(empty) != []


def test_the_functions_views_and_triggers_in_the_code_are_those_of_the_newest_schema(empty: Connection) -> None:
    migrations.upgrade(empty)
    schema = schema_of(empty, "function", "view", "trigger")
    assert [name for kind, name in sorted(schema) if kind == "function"] == sorted(objects.FUNCTIONS)
    assert [name for kind, name in sorted(schema) if kind == "view"] == sorted(objects.VIEWS)
    assert [name for kind, name in sorted(schema) if kind == "trigger"] == sorted(objects.TRIGGERS)


def test_a_trigger_of_an_app_may_be_disabled(empty: Connection) -> None:
    migrations.upgrade(empty)
    empty.execute(
        text("CREATE TRIGGER of_an_app BEFORE UPDATE ON toolsets EXECUTE FUNCTION release_worker_refuse_change()")
    )
    empty.execute(text("ALTER TABLE toolsets DISABLE TRIGGER of_an_app"))
    empty.commit()
    assert migrations.differences(empty) == []


def test_tables_of_the_apps_are_none_of_our_business(empty: Connection) -> None:
    empty.execute(text("CREATE TABLE alembic_version (version_num text)"))
    empty.execute(text("CREATE TABLE invoices (id int PRIMARY KEY)"))
    empty.execute(text("INSERT INTO alembic_version VALUES ('of an app')"))
    empty.commit()
    migrations.upgrade(empty)
    assert migrations.differences(empty) == []
    migrations.downgrade(empty, "base")
    assert column(empty, "SELECT version_num FROM alembic_version") == ["of an app"]
    assert column(empty, "SELECT count(*) FROM invoices") == [0]


def test_a_migration_that_cannot_get_its_locks_gives_up_and_leaves_the_schema_as_it_was(empty: Connection) -> None:
    migrations.upgrade(empty)
    migrations.downgrade(empty, "0007_release_deployment")  # whose own downgrade needs a lock on toolset_releases
    before = schema_of(empty)
    engine = empty.engine
    with engine.connect() as app:
        app.execute(text("LOCK TABLE toolset_releases IN ACCESS SHARE MODE"))
        with pytest.raises(Exception, match="lock timeout"):
            migrations.downgrade(empty, "base")
    assert schema_of(empty) == before
    assert migrations.current_revision(empty) == "0007_release_deployment"


def test_upgrading_leaves_no_timeouts_behind_on_the_connection(empty: Connection) -> None:
    migrations.upgrade(empty)
    assert column(empty, "SHOW lock_timeout") == ["0"]
    assert column(empty, "SHOW statement_timeout") == ["0"]


def column(connection: Connection, query: str) -> list[Any]:
    """The first column of a query's rows."""
    return list(connection.execute(text(query)).scalars())


def test_two_children_of_a_toolset_are_named_before_there_may_be_one_copy_only(empty: Connection) -> None:
    migrations.upgrade(empty, "0013_marks")
    empty.rollback()
    billing = World(empty.engine).organization("acme").project("payments").toolset("billing")
    children = [billing.project.toolset(slug) for slug in ("a", "b")]
    for child in children:
        child.edit(parent_toolset_id=billing.id)
    url = empty.engine.url.render_as_string(hide_password=False)
    with pytest.raises(NotConfigured, match=f"have parent_toolset_id {billing.id}, and a toolset has one staged copy"):
        upgrade_schema(url)
    children[0].edit(parent_toolset_id=None)
    assert upgrade_schema(url).before == "0013_marks"
