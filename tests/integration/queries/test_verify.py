"""Verifying a history: whatever is changed in what is stored, it is named; and nothing is named that is as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, inspect, text

from release_worker.domain import canonical_json
from release_worker.domain.requests.verify import VerifyResult
from release_worker.queries.verify import verify_toolset
from release_worker.store.engine import make_engine
from tests.support.billing import INVOICE, a_full_toolset, edit_everything
from tests.support.bundles import exported, keep
from tests.support.ledger import ask, mailbox
from tests.support.operations import release, roll_back
from tests.support.plug_ins import Flags, create_flags_table, with_plug_ins
from tests.support.records import insert_older_release, whole_database
from tests.support.staging import stage
from tests.support.world import Toolset

# What is named if it is changed, by table.
NAMED = {
    "toolset_versions": (
        *("version", "tool_urns", "tool_positions", "resource_urns", "resource_positions", "name", "description"),
        *("settings", "digest", "predecessor_id", "form"),
    ),
    "source_states": ("deployment_snapshot", "system_snapshot", "digest", "form"),
    "variation_versions": ("version", "config", "digest", "predecessor_id", "form"),
    "toolset_releases": (
        *("release_number", "toolset_version_id", "source_state_id", "global_variations_version_id"),
        *("toolset_variations_version_id", "digest", "predecessor_id"),
    ),
    "component_states": ("content", "digest"),
    "release_components": ("component", "component_state_id"),
    "toolset_rollbacks": ("from_release_id", "to_release_id", "backup_release_id"),
}
# What no digest proves: who, when, why and whose; triggers alone keep it. Where a deployment once was may dangle.
KEPT_BY_TRIGGERS = {
    "toolset_versions": ("id", "toolset_id", "created_at"),
    "source_states": ("id", "project_id", "deployment_id", "created_at"),
    "variation_versions": ("id", "scope", "organization_id", "toolset_id", "created_at"),
    "toolset_releases": (
        *("id", "toolset_id", "kind", "deployment_id", "notes", "labels", "released_by", "request_id", "created_at"),
    ),
    "component_states": ("id", "component", "scope_id", "created_at", "form"),
    "release_components": ("release_id",),
    "toolset_rollbacks": (
        *("id", "toolset_id", "components", "changes", "reason", "rolled_back_by", "request_id", "created_at"),
    ),
}


def a_long_history(engine: Engine) -> Toolset:
    """Releases, backups, an outcome, a plug-in: every table of records has rows."""
    create_flags_table(engine)
    registry = with_plug_ins(Flags())
    billing = a_full_toolset(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO flags VALUES (:id, 'dark', 'true')"), {"id": billing.id})
    release(engine, billing, registry=registry)
    edit_everything(billing)
    release(engine, billing, registry=registry)
    billing.edit(description="not released")
    roll_back(engine, billing, 1, registry=registry)
    billing.move_tool(INVOICE, 3)
    billing.edit(name="Other")
    with engine.begin() as connection:
        connection.execute(text("UPDATE flags SET value = 'false'"))
    roll_back(engine, billing, 2, components=["settings"], registry=registry)
    release(engine, billing, registry=registry)
    return billing


def verified(engine: Engine, toolset: Toolset) -> VerifyResult:
    with engine.connect() as connection:
        return verify_toolset(connection, toolset.id, {})


@pytest.fixture(scope="module")
def kept_engine(servers: Any) -> Iterator[Engine]:
    """A database for all examples of this file, which they leave as it was."""

    with servers.databases.temporary() as url:
        engine = make_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def billing(kept_engine: Engine) -> Toolset:
    return a_long_history(kept_engine)


def test_a_history_of_everything_is_whole(kept_engine: Engine, billing: Toolset) -> None:
    found = verified(kept_engine, billing)
    assert found.mismatches == ()
    assert found.warnings == ()
    assert found.releases == 6


def test_every_column_of_every_record_is_either_proved_or_kept_by_triggers(kept_engine: Engine) -> None:
    for table, columns in NAMED.items():
        there = {column["name"] for column in inspect(kept_engine).get_columns(table)}
        assert there == {*columns, *KEPT_BY_TRIGGERS[table]}, table


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_whatever_is_changed_in_what_is_stored_is_named(
    kept_engine: Engine, billing: Toolset, data: st.DataObject
) -> None:
    table = data.draw(st.sampled_from(sorted(NAMED)), "table")
    column = data.draw(st.sampled_from(NAMED[table]), "column")
    with undone(kept_engine) as connection:
        rows = list(connection.execute(text(f"SELECT ctid::text, {column} FROM {table} ORDER BY ctid")))
        row = data.draw(st.sampled_from(rows), "row")
        changed = data.draw(otherwise(connection, table, column, row[1]), "value")
        there = next(one for one in inspect(connection).get_columns(table) if one["name"] == column)
        kind = there["type"].compile(connection.dialect)
        value = canonical_json.dumps(changed) if kind == "JSONB" else changed
        connection.execute(
            text(f"UPDATE {table} SET {column} = CAST(:value AS {kind}) WHERE ctid = CAST(:row AS tid)"),
            {"value": value, "row": row[0]},
        )
        found = verify_toolset(connection, billing.id, {})
    assert found.mismatches, f"{table}.{column}: {row[1]!r} became {changed!r}, and nothing was said"


def otherwise(connection: Connection, table: str, column: str, value: Any) -> st.SearchStrategy[Any]:
    """Values of the column that mean something else."""
    if column.endswith("_id"):
        return ids(connection, table, column, value)
    if column == "digest":
        return st.integers(0, 63).map(lambda at: value[:at] + ("1" if value[at] == "0" else "0") + value[at + 1 :])
    if column == "form":
        return st.sampled_from([0, 2, 7, -1])
    if column in ("version", "release_number"):
        return st.integers(10, 1000).map(lambda by: value + by)
    if column == "component":
        return st.just("other")
    return different(value)


def ids(connection: Connection, table: str, column: str, value: UUID | None) -> st.SearchStrategy[UUID | None]:
    """Of another row with other content, of no row, or none at all. A predecessor: none or the row itself; a rollback's
    release: none that is there."""
    nowhere = UUID(int=7)
    if table == "toolset_rollbacks":
        return st.just(nowhere)
    if column == "predecessor_id":
        return st.just(nowhere) if value is None else st.sampled_from([None, nowhere])
    holds = {"toolset_version_id": "toolset_versions", "source_state_id": "source_states"}
    of = "component_states" if table == "release_components" else holds.get(column, "variation_versions")
    others = connection.execute(
        text(f"SELECT id FROM {of} WHERE digest IS DISTINCT FROM (SELECT digest FROM {of} WHERE id = :id)"),
        {"id": value},
    ).scalars()
    none = [None] if value is not None and column.startswith(("global", "toolset_variations")) else []
    return st.sampled_from([*others, *none])


def different(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind that differs in one place, however deep."""
    match value:
        case dict() if value:
            return st.sampled_from(sorted(value)).flatmap(
                lambda key: st.one_of(
                    different(value[key]).map(lambda inner: {**value, key: inner}),
                    st.just({one: inner for one, inner in value.items() if one != key}),
                    st.just({f"{one}!" if one == key else one: inner for one, inner in value.items()}),
                )
            )
        case dict():
            return st.just({"more": None})
        case list() if value:
            return st.integers(0, len(value) - 1).flatmap(
                lambda at: st.one_of(
                    different(value[at]).map(lambda inner: [*value[:at], inner, *value[at + 1 :]]),
                    st.just([*value, value[at]]),
                )
            )
        case list():
            return st.just(["more"])
        case bool():
            return st.just(not value)
        case int() | Decimal():
            return st.integers(1, 9).map(lambda by: value + by)
        case str():
            return st.sampled_from([f"{value}!", f" {value}"])
        case _:
            return st.just("something")


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    """A transaction that is never committed, in which no trigger and no foreign key holds."""
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
        connection.rollback()


def test_each_release_that_refers_to_a_changed_part_is_named_with_its_components(
    kept_engine: Engine, billing: Toolset
) -> None:
    with undone(kept_engine) as connection:
        connection.execute(
            text("""
                UPDATE source_states SET system_snapshot = '{}' WHERE id = (
                    SELECT source_state_id FROM toolset_releases WHERE release_number = 1)
            """)
        )
        found = verify_toolset(connection, billing.id, {})
    assert {(one["release_number"], one["object"]) for one in found.mismatches} == {
        (1, "source_state"),
        (4, "source_state"),
        (5, "source_state"),
        (6, "source_state"),
    }
    for one in found.mismatches:
        assert one["toolset_id"] == str(billing.id)
        assert one["components"] == ["deployment", "system"]
        assert one["stored"] != one["computed"]


def test_content_that_was_rewritten_with_all_its_digests_differs_from_what_the_ledger_has_told(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    worker = mailbox(engine)
    worker.work_until_done(ask(engine, billing))
    stage(engine, billing).edit(name="Staged")
    worker.work_until_done(ask(engine, billing, "publish"))
    bundle = keep(engine, exported(engine, billing, 1))
    worker.work_until_done(ask(engine, billing, "import_bundle", bundle=bundle))
    assert verified(engine, billing).mismatches == ()
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE toolset_releases SET digest = repeat('0', 64)"))
    found = verified(engine, billing).mismatches
    told = [one["release_number"] for one in found if one["object"] == "digest in the ledger"]
    assert told == [1, 2, 3]
    assert [one["release_number"] for one in found if one["object"] == "release"] == told


def test_a_release_that_is_gone_is_missed_unless_it_was_pruned(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    worker = mailbox(engine)
    for name in ("a", "b", "c", "d"):
        billing.edit(name=name)
        worker.work_until_done(ask(engine, billing))
    worker.work_until_done(ask(engine, billing, "prune", keep=2))
    assert verified(engine, billing).mismatches == ()
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM toolset_releases WHERE release_number = 3"))
        connection.execute(text("UPDATE toolset_releases SET predecessor_id = NULL"))
    [missed] = verified(engine, billing).mismatches
    assert (missed["release_number"], missed["object"], missed["stored"]) == (3, "release", None)


def test_a_release_of_older_software_is_doubted_and_not_convicted(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    insert_older_release(engine, billing, 1)
    release(engine, billing)
    found = verified(engine, billing)
    assert found.mismatches == ()
    assert found.warnings == ("release 1 has a digest of another form",)


def test_a_part_that_many_releases_share_is_digested_once(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    for number in range(5):
        billing.edit(name=f"name {number}")
        release(engine, billing)
    found = verified(engine, billing)
    assert (found.releases, found.parts) == (5, 5 + 3)


def test_verifying_changes_nothing(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        verify_toolset(connection, billing.id, {})
    assert whole_database(engine) == before
