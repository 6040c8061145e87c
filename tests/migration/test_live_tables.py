"""What the apps may count on when they write live state with plain SQL."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from release_worker.store import live_snapshot
from tests.support.billing import a_full_toolset
from tests.support.world import World

LIVE_TABLES = (
    "organizations",
    "projects",
    "deployments",
    "deployment_assets",
    "tool_definitions",
    "resource_definitions",
    "toolsets",
    "toolset_tools",
    "toolset_resources",
    "prompt_templates",
    "system_configs",
    "variations",
)


def test_they_are_those_that_a_read_locks_before_its_snapshot() -> None:
    assert set(live_snapshot.LIVE_TABLES) == set(LIVE_TABLES)


# What a row cannot do without: keys, slugs and names.
OBVIOUS = {
    "organizations": {"slug", "name"},
    "projects": {"organization_id", "slug", "name"},
    "deployments": {"project_id"},
    "deployment_assets": {"deployment_id", "kind", "slug", "name"},
    "tool_definitions": {"deployment_id", "urn", "name"},
    "resource_definitions": {"deployment_id", "urn", "name"},
    "toolsets": {"organization_id", "project_id", "slug", "name"},
    "toolset_tools": {"toolset_id", "tool_urn"},
    "toolset_resources": {"toolset_id", "resource_urn"},
    "prompt_templates": {"project_id", "name"},
    "system_configs": {"project_id", "key"},
    "variations": {"organization_id", "tool_urn"},
}


@pytest.mark.parametrize("table", LIVE_TABLES)
def test_every_column_but_the_obvious_ones_has_a_default_or_may_be_null(engine: Engine, table: str) -> None:
    query = """
        SELECT column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = :table AND is_nullable = 'NO' AND column_default IS NULL
    """
    assert set(column(engine, query, table=table)) == OBVIOUS[table]


def test_a_plain_insert_of_the_obvious_columns_works_in_every_live_table(engine: Engine) -> None:
    ids: dict[str, Any] = {}

    def insert(table: str, made: str | None = None, /, **values: Any) -> None:
        assert set(values) == OBVIOUS[table]
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        with engine.begin() as connection:
            row = connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING *"), values).one()
        if made is not None:
            assert UUID(str(row.id)).version == 7
            ids[made] = row.id

    insert("organizations", "organization", slug="acme", name="Acme")
    insert("projects", "project", organization_id=ids["organization"], slug="payments", name="Payments")
    insert("deployments", "deployment", project_id=ids["project"])
    insert(
        "deployment_assets", "asset", deployment_id=ids["deployment"], kind="function", slug="billing", name="Billing"
    )
    insert("tool_definitions", "tool", deployment_id=ids["deployment"], urn="tools:function:billing:pay", name="pay")
    insert("resource_definitions", "resource", deployment_id=ids["deployment"], urn="resources:a:b:c", name="c")
    insert(
        "toolsets",
        "toolset",
        organization_id=ids["organization"],
        project_id=ids["project"],
        slug="billing",
        name="Billing",
    )
    insert("toolset_tools", toolset_id=ids["toolset"], tool_urn="tools:function:billing:pay")
    insert("toolset_resources", toolset_id=ids["toolset"], resource_urn="resources:a:b:c")
    insert("prompt_templates", "prompt", project_id=ids["project"], name="greeting")
    insert("system_configs", project_id=ids["project"], key="model")
    insert("variations", "variation", organization_id=ids["organization"], tool_urn="tools:function:billing:pay")
    assert set(column(engine, "SELECT status FROM deployments")) == {"pending"}
    assert set(column(engine, "SELECT editing_mode FROM toolsets")) == {"iteration"}
    assert set(column(engine, "SELECT kind FROM prompt_templates")) == {"prompt"}


def test_new_ids_are_uuids_of_version_7_that_carry_the_time(engine: Engine) -> None:
    query = """
        SELECT floor(extract(epoch FROM before) * 1000)::bigint, id,
               ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint
        FROM (SELECT clock_timestamp() AS before, release_worker_uuid7() AS id FROM generate_series(1, 2000)) AS made
    """
    with engine.connect() as connection:
        made = [tuple(row) for row in connection.execute(text(query))]
    for before, made_id, after in made:
        assert made_id.version == 7
        assert made_id.variant == "specified in RFC 4122"
        assert before <= made_id.int >> 80 <= after
    assert len({made_id for _, made_id, _ in made}) == len(made)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("deployments", "status = 'half'"),
        ("deployment_assets", "kind = 'zip'"),
        ("toolsets", "editing_mode = 'other'"),
        ("prompt_templates", "kind = 'other'"),
        ("tool_definitions", "urn = 'the same'"),
        ("resource_definitions", "urn = 'the same'"),
        ("deployment_assets", "kind = 'function', slug = 'the same'"),
        ("prompt_templates", "name = 'the same'"),
        ("toolset_tools", "tool_urn = 'the same'"),
        ("toolset_resources", "resource_urn = 'the same'"),
        ("variations", "tool_urn = 'the same', toolset_id = NULL"),
        ("system_configs", "key = 'the same'"),
    ],
)
def test_the_database_refuses_what_the_contract_excludes(engine: Engine, table: str, change: str) -> None:
    a_full_toolset(engine)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET {change}"))


def test_a_deployment_key_is_unique_in_its_project(engine: Engine) -> None:
    project = World(engine).organization("acme").project("payments")
    project.rows.insert("deployments", project_id=project.id, idempotency_key="build-1")
    with pytest.raises(IntegrityError):
        project.rows.insert("deployments", project_id=project.id, idempotency_key="build-1")


def test_the_slug_of_a_deleted_toolset_and_the_name_of_a_deleted_prompt_are_free_again(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.delete()
    billing.project.toolset("billing")
    billing.project.delete_prompt("greeting")
    billing.project.add_prompt("greeting")


def test_deleting_a_toolset_for_good_takes_its_lists_and_variations_along(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.rows.delete("toolsets", {"id": billing.id})
    for table in ("toolset_tools", "toolset_resources"):
        assert column(engine, f"SELECT count(*) FROM {table}") == [0]
    assert column(engine, "SELECT count(*) FROM variations WHERE toolset_id IS NOT NULL") == [0]
    assert column(engine, "SELECT count(*) FROM variations") == [1]


def column(engine: Engine, query: str, **values: Any) -> list[Any]:
    """The first column of a query's rows."""
    with engine.connect() as connection:
        return list(connection.execute(text(query), values).scalars())
