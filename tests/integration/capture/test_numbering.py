"""Numbers start at 1, have no gaps, belong to one toolset, and never change; the predecessor chain is complete."""

from contextlib import suppress

from sqlalchemy import Engine

from release_worker.domain.requests.create_release import CreateRelease
from release_worker.operations.create_release import create_release
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from release_worker.store.engine import locking_transaction
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.operations import release, roll_back
from tests.support.records import assert_numbers_and_chain_complete, current_number, releases_of, whole_database


def test_the_first_version_and_the_first_release_are_number_1(engine: Engine) -> None:
    made = release(engine, a_full_toolset(engine))
    assert (made.toolset_version, made.release_number) == (1, 1)


def test_each_release_follows_the_one_that_was_current(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    for number in range(1, 8):
        billing.edit(settings={"edit": number // 2})
        release(engine, billing)
    rows = releases_of(engine, billing)
    assert [row.predecessor_id for row in rows] == [None, *(row.id for row in rows[:-1])]
    assert_numbers_and_chain_complete(engine, billing)


def test_a_rollback_does_not_renumber_and_the_next_release_follows_the_restored_one(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.edit(name="Other")
    release(engine, billing)
    numbers = [(row.id, row.release_number) for row in releases_of(engine, billing)]
    roll_back(engine, billing, 1)
    assert [(row.id, row.release_number) for row in releases_of(engine, billing)] == numbers
    assert current_number(engine, billing) == 1
    billing.edit(name="Third")
    release(engine, billing)
    rows = releases_of(engine, billing)
    assert (rows[2].release_number, rows[2].predecessor_id) == (3, rows[0].id)
    assert_numbers_and_chain_complete(engine, billing)


def test_backups_and_restored_releases_are_numbered_with_the_others(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.edit(name="Unreleased")
    billing.move_tool(INVOICE, 5)
    done = roll_back(engine, billing, 1, components=["tools"])
    rows = releases_of(engine, billing)
    assert [(row.release_number, row.kind) for row in rows] == [(1, "release"), (2, "backup"), (3, "restored")]
    assert (done.backup_release_number, done.current_release_number) == (2, 3)
    assert_numbers_and_chain_complete(engine, billing)


def test_toolsets_are_numbered_apart(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    neighbour = billing.project.toolset("neighbour")
    stranger = a_full_toolset(engine, organization="rival")
    for toolset in (billing, neighbour, stranger, billing, neighbour, billing):
        release(engine, toolset)
    for toolset, count in ((billing, 3), (neighbour, 2), (stranger, 1)):
        assert_numbers_and_chain_complete(engine, toolset)
        assert len(releases_of(engine, toolset)) == count


def test_a_release_whose_transaction_fails_leaves_no_gap_and_nothing_behind(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    request = CreateRelease(toolset=billing.path, actor="tester")
    with suppress(ConnectionError), locking_transaction(engine) as connection:
        create_release(Work(connection, billing.id, built_in_components()), request)
        raise ConnectionError
    assert whole_database(engine) == before
    billing.edit(name="Other")
    assert release(engine, billing).release_number == 2
    assert_numbers_and_chain_complete(engine, billing)
