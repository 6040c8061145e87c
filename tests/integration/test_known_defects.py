"""The twelve defects of the releases branch that the requirements were written for, each as it showed there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from release_worker.domain.requests.rollback import Rollback
from release_worker.errors import ReleaseNotFound, ReleaseWorkerError, ToolsetNotFound
from release_worker.operations.rollback import rollback
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from release_worker.store.engine import locking_transaction
from tests.support.billing import (
    INVOICE,
    REFUND,
    SUMMARY,
    a_full_toolset,
    active_deployment,
    edit_everything,
)
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import (
    assert_numbers_and_chain_complete,
    captured_state,
    current_number,
    number_of_rows,
    recomputed_digests,
    releases_of,
    rollbacks_of,
    stored_digests,
    whole_database,
)


def test_01_of_16_concurrent_clients_none_fails_and_no_version_is_left_behind(engine: Engine) -> None:
    billing = a_full_toolset(engine)

    def edit_and_release(client: int) -> int:
        with engine.begin() as connection:
            edit = text("UPDATE toolsets SET settings = jsonb_build_object('client', CAST(:client AS int))")
            connection.execute(edit, {"client": client})
        return release(engine, billing, attempts=200).release_number

    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(edit_and_release, range(16)))
    assert sorted(numbers) == list(range(1, 17))
    assert_numbers_and_chain_complete(engine, billing)
    used = {row.toolset_version_id for row in releases_of(engine, billing)}
    assert number_of_rows(engine, "toolset_versions") == len(used)


def test_02_a_rollback_that_fails_at_its_end_leaves_nothing_restored(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    before = whole_database(engine)
    with engine.begin() as connection:
        # The last statement of a rollback is its record.
        connection.execute(
            text("ALTER TABLE toolset_rollbacks ADD CONSTRAINT refused CHECK (rolled_back_by <> 'tester')")
        )
    with pytest.raises(IntegrityError):
        roll_back(engine, billing, 1)
    assert whole_database(engine) == before


def test_02_a_rollback_holds_the_toolset_until_it_commits(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    request = Rollback(toolset=billing.path, actor="tester", release_number=1)
    with locking_transaction(engine) as connection:
        rollback(Work(connection, billing.id, built_in_components()), request)
        with engine.connect() as other:
            lock = "SELECT count(*) FROM (SELECT 1 FROM toolsets FOR NO KEY UPDATE SKIP LOCKED) AS free"
            assert other.execute(text(lock)).scalar_one() == 0


@pytest.mark.parametrize("table", ["toolset_versions", "toolset_releases", "source_states", "variation_versions"])
def test_03_an_error_while_reading_what_was_stored_is_not_taken_for_nothing_stored(engine: Engine, table: str) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO hidden"))
    with pytest.raises(ReleaseWorkerError):
        release(engine, billing)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE hidden RENAME TO {table}"))
    assert whole_database(engine) == before
    made = release(engine, billing)
    assert (made.release_number, made.toolset_version) == (2, 1)


def test_04_a_release_of_another_tenant_cannot_be_reached(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    rival = a_full_toolset(engine, organization="rival")
    edit_everything(rival)
    release(engine, billing)
    for _ in range(2):
        release(engine, rival)
    before = whole_database(engine)
    with pytest.raises(ReleaseNotFound):
        roll_back(engine, billing, 2)
    with pytest.raises(ToolsetNotFound):
        roll_back(engine, rival, 1, organization="acme")
    assert whole_database(engine) == before


def test_05_variations_that_are_edited_in_place_are_what_they_were_in_the_release(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.organization.vary(INVOICE, {"name": "edited in place"})
    billing.vary(REFUND, {"description": "edited in place"})
    assert captured_state(engine, billing, 1) == state
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state


def test_06_a_copy_cannot_take_the_slug_of_a_toolset(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    with pytest.raises(IntegrityError):
        billing.rows.insert(
            "toolsets",
            organization_id=billing.project.organization.id,
            project_id=billing.project.id,
            slug=billing.slug,
            name="Copy",
            editing_mode="staging",
            parent_toolset_id=billing.id,
        )


def test_06_discarding_a_copy_leaves_the_toolset_and_its_releases(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    copy = billing.project.toolset("billing-staging", tools=[INVOICE])
    copy.edit(editing_mode="staging", parent_toolset_id=billing.id)
    release(engine, copy)
    state = live_state(engine, billing)
    copy.delete()
    assert live_state(engine, billing) == state
    assert current_number(engine, billing) == 1
    assert release(engine, billing.path).toolset_id == billing.id
    with pytest.raises(ToolsetNotFound):
        release(engine, copy)


def test_06_a_new_toolset_under_a_deleted_ones_slug_has_a_history_of_its_own(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.delete()
    successor = billing.project.toolset("billing")
    made = release(engine, "acme/payments/billing")
    assert (made.toolset_id, made.release_number, made.toolset_version) == (successor.id, 1, 1)
    assert len(releases_of(engine, billing)) == 1


def test_07_equal_source_states_are_stored_once(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    for number in range(3):
        billing.edit(settings={"edit": number})
        release(engine, billing)
    # The same content in another deployment, and system rows written anew.
    roll_back(engine, billing, 1)
    billing.project.unconfigure("limits")
    billing.project.configure("limits", [10, 20])
    release(engine, billing)
    assert number_of_rows(engine, "source_states") == 1
    assert len({row.source_state_id for row in releases_of(engine, billing)}) == 1


@pytest.mark.parametrize("table", ["toolset_releases", "toolset_versions", "source_states", "variation_versions"])
def test_08_the_database_refuses_to_change_releases_and_their_contents(engine: Engine, table: str) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    for statement in (f"UPDATE {table} SET digest = 'other'", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(IntegrityError, match=r"immutable|notes and labels"), engine.begin() as connection:
            connection.execute(text(statement))
    assert stored_digests(engine, billing, 1) == recomputed_digests(engine, billing, 1)


def test_09_creating_a_release_makes_it_current(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    assert current_number(engine, billing) is None
    for number in (1, 2):
        release(engine, billing)
        assert current_number(engine, billing) == number


def test_09_a_rollback_restores_all_of_the_state_before_it_moves_the_current_release(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    state = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    roll_back(engine, billing, 1)
    assert current_number(engine, billing) == 1
    assert live_state(engine, billing) == state
    assert not drift(engine, billing).drifted


@pytest.mark.parametrize(
    "tools",
    [
        [INVOICE, REFUND],
        [INVOICE, REFUND, "tools:t:other"],
        [INVOICE, "tools:t:other", "tools:t:another"],
        [REFUND, INVOICE, SUMMARY],
        [],
    ],
)
def test_10_a_change_of_the_tools_is_seen_whatever_their_number_and_order(engine: Engine, tools: list[str]) -> None:
    billing = a_full_toolset(engine)
    first = release(engine, billing)
    billing.rows.delete("toolset_tools", {"toolset_id": billing.id})
    for position, urn in enumerate(tools):
        billing.add_tool(urn, position)
    assert drift(engine, billing).drifted
    second = release(engine, billing, only_if_changed=True)
    assert (second.created, second.toolset_version) == (True, 2)
    assert second.digest != first.digest


def test_11_a_deployment_that_a_release_mentions_can_be_deleted(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    state = live_state(engine, billing)
    mentioned = active_deployment(billing)
    release(engine, billing)
    billing.project.deploy()
    mentioned.delete()
    assert captured_state(engine, billing, 1) == state
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state


def test_12_deleting_a_toolset_for_good_cannot_take_its_releases_along(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    roll_back(engine, billing, 1)
    before = whole_database(engine)
    with pytest.raises(IntegrityError):
        billing.rows.delete("toolsets", {"id": billing.id})
    assert whole_database(engine) == before
    billing.edit(deleted_at=datetime.now(UTC))
    assert len(releases_of(engine, billing)) == 2
    assert len(rollbacks_of(engine, billing)) == 1
