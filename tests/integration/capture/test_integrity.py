"""A release whose stored rows were tampered with is refused, and the error names what is wrong."""

import pytest
from sqlalchemy import Engine, text

from release_worker.errors import IntegrityMismatch
from tests.support.live_state import live_state
from tests.support.operations import drift, released_twice, roll_back
from tests.support.records import recomputed_digests, stored_digests, tampering, whole_database
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return released_twice(engine)


TAMPERED = [
    ("toolset_version", "toolset_versions", "name = 'tampered'"),
    ("toolset_version", "toolset_versions", "description = NULL"),
    ("toolset_version", "toolset_versions", """settings = '{"timeout": 30.0000001}'"""),
    ("toolset_version", "toolset_versions", "tool_urns = tool_urns[2:] || tool_urns[1]"),
    ("toolset_version", "toolset_versions", "tool_positions = ARRAY[0, 2, 1]"),
    ("toolset_version", "toolset_versions", "resource_urns = '{}', resource_positions = '{}'"),
    ("toolset_version", "toolset_versions", "digest = repeat('0', 64)"),
    ("source_state", "source_states", "deployment_snapshot = 'null'"),
    ("source_state", "source_states", "deployment_snapshot = jsonb_set(deployment_snapshot, '{status}', '\"failed\"')"),
    ("source_state", "source_states", "system_snapshot = jsonb_set(system_snapshot, '{config,model}', '7')"),
    ("source_state", "source_states", "digest = repeat('0', 64)"),
    ("global_variations", "variation_versions", "config = '{}'"),
    ("global_variations", "variation_versions", "digest = repeat('0', 64)"),
    ("toolset_variations", "variation_versions", "config = config || '{\"more\": null}'"),
]


@pytest.mark.parametrize(("part", "table", "change"), TAMPERED)
def test_a_tampered_part_is_named_and_nothing_is_restored(
    engine: Engine, billing: Toolset, part: str, table: str, change: str
) -> None:
    tamper(engine, part, table, change)
    before = whole_database(engine)
    for options in ({}, {"dry_run": True}, {"components": ["settings"]}):
        with pytest.raises(IntegrityMismatch) as mismatch:
            roll_back(engine, billing, 1, **options)
        objects = mismatch.value.details["objects"]
        assert [one["object"] for one in objects] == [f"{part} of release 1", "release 1"][: len(objects)]
        assert (objects[0]["stored"], objects[0]["computed"]) == (
            stored_digests(engine, billing, 1)[part],
            recomputed_digests(engine, billing, 1)[part],
        )
        assert f"{part} of release 1" in mismatch.value.message
    assert whole_database(engine) == before


def tamper(engine: Engine, part: str, table: str, change: str) -> None:
    """Change the row of a part of release 1."""
    column = {"toolset_versions": "toolset_version_id", "source_states": "source_state_id"}.get(
        table, f"{part}_version_id"
    )
    release_row = "(SELECT * FROM toolset_releases WHERE release_number = 1) AS release"
    with tampering(engine) as connection:
        done = connection.execute(
            text(f"UPDATE {table} SET {change} FROM {release_row} WHERE {table}.id = release.{column}")
        )
        assert done.rowcount == 1


@pytest.mark.parametrize(
    "change",
    [
        "digest = repeat('0', 64)",
        "global_variations_version_id = NULL",
        "toolset_variations_version_id = NULL",
    ],
)
def test_a_tampered_release_row_is_named(engine: Engine, billing: Toolset, change: str) -> None:
    with tampering(engine) as connection:
        connection.execute(text(f"UPDATE toolset_releases SET {change} WHERE release_number = 1"))
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch) as mismatch:
        roll_back(engine, billing, 1)
    assert [one["object"] for one in mismatch.value.details["objects"]] == ["release 1"]
    assert whole_database(engine) == before


def test_a_part_of_another_release_put_in_its_place_is_noticed(engine: Engine, billing: Toolset) -> None:
    with tampering(engine) as connection:
        connection.execute(
            text("""
                UPDATE toolset_releases AS first SET toolset_version_id = second.toolset_version_id
                FROM toolset_releases AS second WHERE first.release_number = 1 AND second.release_number = 2
            """)
        )
    with pytest.raises(IntegrityMismatch) as mismatch:
        roll_back(engine, billing, 1)
    assert [one["object"] for one in mismatch.value.details["objects"]] == ["release 1"]


def test_the_other_releases_of_a_tampered_toolset_can_be_restored(engine: Engine, billing: Toolset) -> None:
    state = live_state(engine, billing)
    tamper(engine, "toolset_version", "toolset_versions", "name = 'tampered'")
    billing.edit(name="Unreleased")
    roll_back(engine, billing, 2)
    assert live_state(engine, billing) == state


def test_a_snapshot_written_with_other_zeros_and_another_order_of_keys_is_whole(
    engine: Engine, billing: Toolset
) -> None:
    tamper(engine, "toolset_version", "toolset_versions", """settings = '{"tags": ["eu", "b2b"], "timeout": 30.000}'""")
    roll_back(engine, billing, 1)
    assert not drift(engine, billing).drifted


def test_live_state_that_reads_back_otherwise_undoes_the_whole_rollback(engine: Engine, billing: Toolset) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.value := '"meddled"'; RETURN NEW; END $$
            """)
        )
        connection.execute(
            text("CREATE TRIGGER meddle BEFORE INSERT ON system_configs FOR EACH ROW EXECUTE FUNCTION meddle()")
        )
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch) as mismatch:
        roll_back(engine, billing, 1)
    assert [one["object"] for one in mismatch.value.details["objects"]] == ["system"]
    assert whole_database(engine) == before
