"""Many at once on one toolset, with PostgreSQL alone: no Redis lock keeps them apart here."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Barrier, Event
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.requests.rollback import Rollback
from release_worker.embedded.process import eventually
from release_worker.errors import ReleaseWorkerError, ToolsetNotFound, VersionConflict
from release_worker.operations.create_release import create_release
from release_worker.operations.rollback import rollback
from release_worker.state.component import Parameters
from release_worker.state.membership import Membership
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from release_worker.store.engine import locking_transaction
from tests.support.billing import (
    INVOICE,
    a_full_toolset,
    active_deployment,
    edit_deployment,
    edit_everything,
    edit_system,
)
from tests.support.exact_json import exact
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import (
    assert_numbers_and_chain_complete,
    captured_state,
    current_number,
    number_of_rows,
    releases_of,
    rollbacks_of,
)
from tests.support.world import Toolset, World

Result = TypeVar("Result")

THREADS = 32
# Whoever is last may lose to each of the others, and to what they retry.
PATIENT = 500


def all_at_once(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of these, started together."""
    start = Barrier(len(works))

    def run(work: Callable[[], Result]) -> Result:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def test_simultaneous_creations_get_numbers_without_gaps_or_duplicates(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    made = all_at_once([lambda: release(engine, billing, attempts=PATIENT)] * THREADS)
    assert sorted(one.release_number for one in made) == list(range(1, THREADS + 1))
    assert {one.toolset_version for one in made} == {1}
    assert_numbers_and_chain_complete(engine, billing)
    rows = releases_of(engine, billing)
    assert [row.predecessor_id for row in rows] == [None, *(row.id for row in rows[:-1])]
    assert current_number(engine, billing) == THREADS
    assert not drift(engine, billing).drifted


def test_simultaneous_edits_and_creations_leave_no_gap_and_no_orphan(engine: Engine) -> None:
    billing = a_full_toolset(engine)

    def edit_and_release(number: int) -> int:
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO toolset_tools (toolset_id, tool_urn, position) VALUES (:id, :urn, :position)"),
                {"id": billing.id, "urn": f"tools:t:{number}", "position": number},
            )
        return release(engine, billing, attempts=PATIENT).release_number

    numbers = all_at_once([partial(edit_and_release, number) for number in range(THREADS)])
    assert sorted(numbers) == list(range(1, THREADS + 1))
    assert_numbers_and_chain_complete(engine, billing)
    assert_no_orphans(engine)
    sizes = [len(captured_state(engine, billing, number)["tools"]) for number in range(1, THREADS + 1)]
    assert sizes == sorted(sizes)
    assert captured_state(engine, billing, THREADS) == live_state(engine, billing)


def test_a_creation_that_loses_gets_a_version_conflict_and_leaves_nothing_behind(engine: Engine) -> None:
    billing = a_full_toolset(engine)

    def try_once() -> int | str:
        try:
            return release(engine, billing).release_number
        except ReleaseWorkerError as error:
            return type(error).__name__

    outcomes = all_at_once([try_once] * 16)
    numbers = sorted(one for one in outcomes if isinstance(one, int))
    assert {one for one in outcomes if isinstance(one, str)} <= {"VersionConflict"}
    assert numbers == list(range(1, len(numbers) + 1)) != []
    assert len(releases_of(engine, billing)) == len(numbers)
    assert_numbers_and_chain_complete(engine, billing)
    assert_no_orphans(engine)


def test_releases_of_many_toolsets_of_a_project_do_not_fail_each_other(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    toolsets = [billing, *(billing.project.toolset(f"toolset-{number}", tools=[INVOICE]) for number in range(11))]

    def releases(toolset: Toolset) -> list[int]:
        return [release(engine, toolset, attempts=PATIENT).release_number for _ in range(3)]

    made = all_at_once([partial(releases, toolset) for toolset in toolsets])
    assert made == [[1, 2, 3]] * len(toolsets)
    # All of them captured the same project.
    assert number_of_rows(engine, "source_states") == 1
    assert_no_orphans(engine)


@contextmanager
def meanwhile(engine: Engine, others: Callable[[], object]) -> Iterator[Connection]:
    """A transaction that has begun, and read something, before the others commit."""
    with locking_transaction(engine) as older:
        older.execute(text("SELECT 1 FROM toolsets"))
        others()
        yield older


def create_in(connection: Connection, toolset: Toolset) -> None:
    request = CreateRelease(toolset=toolset.path, actor="older")
    create_release(Work(connection, toolset.id, built_in_components()), request)


def roll_back_in(connection: Connection, toolset: Toolset, number: int) -> None:
    request = Rollback(toolset=toolset.path, actor="older", release_number=number)
    rollback(Work(connection, toolset.id, built_in_components()), request)


def test_a_creation_that_began_before_anothers_release_comes_after_it(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    with meanwhile(engine, lambda: release(engine, billing)) as older:
        create_in(older, billing)
    assert [row.release_number for row in releases_of(engine, billing)] == [1, 2]
    assert_numbers_and_chain_complete(engine, billing)


def test_a_rollback_that_began_before_anothers_release_needs_no_backup_of_what_that_holds(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    state = live_state(engine, billing)
    with meanwhile(engine, lambda: release(engine, billing)) as older:
        roll_back_in(older, billing, 1)
    assert captured_state(engine, billing, 2) == state
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "release"]
    assert [row.backup_release_id for row in rollbacks_of(engine, billing)] == [None]


def test_a_creation_that_began_before_anothers_rollback_holds_what_that_restored(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    with meanwhile(engine, lambda: roll_back(engine, billing, 1)) as older:
        create_in(older, billing)
    assert captured_state(engine, billing, 3) == captured_state(engine, billing, 1)
    assert not drift(engine, billing).drifted


def test_a_toolset_that_is_deleted_meanwhile_gets_no_release(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    with pytest.raises(ToolsetNotFound), meanwhile(engine, billing.delete) as older:
        create_in(older, billing)
    assert releases_of(engine, billing) == []


EDITS_MEANWHILE: dict[str, tuple[str, Callable[[Toolset], None]]] = {
    "tools": ("tools", lambda billing: billing.move_tool(INVOICE, 77)),
    "settings": ("settings", lambda billing: billing.edit(settings={"edited": "meanwhile"})),
    "configuration": ("system", lambda billing: billing.project.configure("model", "edited meanwhile")),
    "prompt": ("system", lambda billing: billing.project.edit_prompt("summary", prompt="edited meanwhile")),
    "another deployment": ("deployment", lambda billing: void(billing.project.deploy())),
    "global variation": (
        "global_variations",
        lambda billing: billing.project.organization.vary(INVOICE, {"edited": "meanwhile"}),
    ),
    "toolset variation": ("toolset_variations", lambda billing: billing.vary(INVOICE, {"edited": "meanwhile"})),
}


def void(_value: object) -> None:
    """Nothing, whatever was returned."""


@pytest.mark.parametrize("edited", EDITS_MEANWHILE)
def test_a_rollback_keeps_an_edit_that_was_made_after_it_began(engine: Engine, edited: str) -> None:
    _, edit_more = EDITS_MEANWHILE[edited]
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    states = []

    def edit() -> None:
        edit_more(billing)
        states.append(live_state(engine, billing))

    with meanwhile(engine, edit) as older:
        roll_back_in(older, billing, 1)
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "release", "backup"]
    assert captured_state(engine, billing, 3) == states[0]


@pytest.mark.parametrize("edited", ["configuration", "prompt", "global variation"])
def test_a_rollback_starts_again_if_what_it_leaves_alone_is_edited_before_it_commits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, edited: str
) -> None:
    """An app that holds nothing is not held off where the rollback only reads; it is seen when that is read again."""
    _, edit_more = EDITS_MEANWHILE[edited]
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.move_tool(INVOICE, 40)
    release(engine, billing)
    restore = Membership.restore

    def restore_beside_an_edit(self: Membership, connection: Connection, target: str, parameters: Parameters) -> None:
        restore(self, connection, target, parameters)
        monkeypatch.undo()
        edit_more(billing)

    monkeypatch.setattr(Membership, "restore", restore_beside_an_edit)
    with pytest.raises(VersionConflict, match="changed meanwhile"):
        roll_back(engine, billing, 1, components=["tools"])
    assert len(releases_of(engine, billing)) == 2
    assert roll_back(engine, billing, 1, components=["tools"]).backup_release_number == 3


def test_two_rollbacks_that_restore_shared_state_never_leave_a_mixture(engine: Engine) -> None:
    """Each is planned before the other one commits; the later one waits, and conflicts."""
    billing = a_full_toolset(engine)
    neighbour = billing.project.toolset("neighbour")
    release(engine, billing)
    first = live_state(engine, billing)
    edit_deployment(billing)
    release(engine, neighbour)
    edit_system(billing)

    def later() -> str:
        try:
            roll_back(engine, neighbour, 1, allow_shared_impact=True)
        except VersionConflict:
            return "conflict"
        return "done"

    with ThreadPoolExecutor(1) as pool:
        with locking_transaction(engine) as earlier:
            request = Rollback(toolset=billing.path, actor="earlier", release_number=1, allow_shared_impact=True)
            rollback(Work(earlier, billing.id, built_in_components()), request)
            other = pool.submit(later)
            assert eventually(lambda: waits_for_a_lock(engine), within=30)
        assert other.result() == "conflict"
    assert live_state(engine, billing) == first
    roll_back(engine, neighbour, 1, allow_shared_impact=True)
    assert live_state(engine, neighbour)["deployment"] != first["deployment"]
    assert live_state(engine, neighbour)["system"] == first["system"]


def test_rollbacks_and_creations_that_race_leave_a_whole_history(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    states = {}
    for number in range(1, 5):
        billing.edit(settings={"edit": number})
        billing.project.configure("edit", number)
        billing.vary(INVOICE, {"edit": number % 2})
        billing.move_tool(INVOICE, number)
        states[number] = live_state(engine, billing)
        release(engine, billing)

    def create() -> None:
        release(engine, billing, attempts=PATIENT)

    def restore(number: int) -> None:
        roll_back(engine, billing, number, attempts=PATIENT)

    works = [create] * 12 + [partial(restore, number) for number in (1, 2, 3, 4) * 3]
    random.Random(7).shuffle(works)
    all_at_once(works)

    assert live_state(engine, billing) in states.values()
    assert not drift(engine, billing).drifted
    assert_numbers_and_chain_complete(engine, billing)
    assert_no_orphans(engine)
    rows = releases_of(engine, billing)
    assert len(rows) == 4 + 12
    assert {row.kind for row in rows} == {"release"}
    for row in rows:
        assert captured_state(engine, billing, row.release_number) in states.values()


def test_a_release_made_while_an_app_edits_is_never_torn(engine: Engine) -> None:
    """The app writes one number everywhere, in one transaction; a release must hold one number everywhere."""
    billing = a_full_toolset(engine)
    deployment = active_deployment(billing)
    world = World(engine)
    app = replace(billing, rows=world.rows)

    def write(number: int) -> None:
        with world.transaction() as connection:
            app.move_tool(INVOICE, number)
            connection.execute(
                text("UPDATE tool_definitions SET definition = to_jsonb(CAST(:n AS int)) WHERE deployment_id = :id"),
                {"n": number, "id": deployment.id},
            )
            connection.execute(text("UPDATE system_configs SET value = to_jsonb(CAST(:n AS int))"), {"n": number})
            connection.execute(text("UPDATE variations SET config = to_jsonb(CAST(:n AS int))"), {"n": number})
            app.edit(settings=number)

    write(0)
    done = Event()

    def keep_writing() -> int:
        number = 0
        while not done.is_set():
            number += 1
            write(number)
        return number

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(keep_writing)
        try:
            for _ in range(25):
                release(engine, billing, attempts=PATIENT)
        finally:
            done.set()
        assert writer.result() > 1

    seen = set()
    for row in releases_of(engine, billing):
        state = captured_state(engine, billing, row.release_number)
        number = exact(state["tools"][INVOICE])
        assert state["settings"]["settings"] == number
        assert {tool["definition"] for tool in state["deployment"]["tools"].values()} == {number}
        assert set(state["system"]["config"].values()) == {number}
        assert set(state["global_variations"].values()) == set(state["toolset_variations"].values()) == {number}
        seen.add(number)
    assert len(seen) > 1


def test_a_release_does_not_wait_for_an_app_that_edits_what_it_captures(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    before = live_state(engine, billing)
    with World(engine).transaction() as connection:
        for table in ("toolset_tools", "tool_definitions", "system_configs", "variations", "prompt_templates"):
            connection.execute(text(f"DELETE FROM {table}"))
        release(engine, billing)
        connection.rollback()
    assert captured_state(engine, billing, 1) == before


def test_a_release_waits_for_another_release_of_the_same_toolset_only(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    stranger = a_full_toolset(engine, organization="rival")
    with ThreadPoolExecutor(1) as pool:
        with locking_transaction(engine) as first:
            create_in(first, billing)
            other = pool.submit(release, engine, billing, attempts=2)
            assert eventually(lambda: waits_for_a_lock(engine), within=30)
            assert release(engine, stranger).release_number == 1
        assert other.result().release_number == 2
    assert_numbers_and_chain_complete(engine, billing)


def assert_no_orphans(engine: Engine) -> None:
    """Every stored content belongs to a release: whoever lost left nothing behind."""
    parts = {
        "toolset_versions": "toolset_version_id",
        "source_states": "source_state_id",
        "variation_versions": "global_variations_version_id, toolset_variations_version_id",
    }
    for table, columns in parts.items():
        query = (
            f"SELECT count(*) FROM {table} t WHERE NOT EXISTS (SELECT FROM toolset_releases WHERE t.id IN ({columns}))"
        )
        with engine.connect() as connection:
            assert connection.execute(text(query)).scalar_one() == 0
