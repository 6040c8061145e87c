"""The drift watch: what it sees is what a check of drift says; it tells once; each toolset has its turn."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, text

from release_worker.operations.watch_drift import Watched, WatchPolicy, watch_drift
from release_worker.settings import Settings
from release_worker.state.registry import Registry, built_in_components
from release_worker.store.drift import count_drifted
from release_worker.store.engine import single_statement
from release_worker.worker.runtime import Runtime
from tests.support.billing import EDITS, INVOICE, a_full_toolset
from tests.support.events import events
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Once
from tests.support.records import insert_older_release
from tests.support.staging import stage
from tests.support.world import Toolset

REGISTRY = built_in_components()


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    return billing


def watched(engine: Engine, *, registry: Registry = REGISTRY, **policy: Any) -> Watched:
    return watch_drift(engine, registry, WatchPolicy(**policy))


def seen(engine: Engine) -> dict[UUID, Any]:
    """The rows by toolset."""
    with engine.connect() as connection:
        return {row.toolset_id: row for row in connection.execute(text("SELECT * FROM toolset_drift"))}


def detected(engine: Engine) -> list[Any]:
    return [one for one in events(engine) if one.type == "drift.detected"]


def number_drifted(engine: Engine) -> int:
    with single_statement(engine) as connection:
        return count_drifted(connection)


def test_a_toolset_that_is_as_released_has_not_drifted(engine: Engine, billing: Toolset) -> None:
    looked = watched(engine)
    row = seen(engine)[billing.id]
    assert (looked.looked_at, looked.turned, looked.failed) == (1, [], {})
    assert (row.drifted, row.components, row.since, row.failed) == (False, [], None, None)
    assert row.checked_at is not None
    assert detected(engine) == []


@pytest.mark.parametrize("component", EDITS)
def test_what_was_edited_is_seen_by_component_as_a_check_of_drift_tells_it(
    engine: Engine, billing: Toolset, component: str
) -> None:
    EDITS[component](billing)
    watched(engine)
    row = seen(engine)[billing.id]
    assert row.drifted
    assert set(row.components) == set(drift(engine, billing).changes)
    assert component in row.components


def test_it_is_told_once_when_a_toolset_turns_drifted_and_again_after_it_was_put_right(
    engine: Engine, billing: Toolset
) -> None:
    watched(engine)
    billing.move_tool(INVOICE, 9)
    assert watched(engine).turned == [billing.id]
    since = seen(engine)[billing.id].since
    billing.edit(description="edited more")
    assert watched(engine).turned == []
    row = seen(engine)[billing.id]
    assert (row.since, set(row.components)) == (since, {"tools", "settings"})
    [told] = detected(engine)
    assert told.toolset_id == billing.id
    assert told.data == {"path": billing.path, "release_number": 1, "components": ["tools"]}
    roll_back(engine, billing, 1)
    watched(engine)
    row = seen(engine)[billing.id]
    assert (row.drifted, row.components, row.since) == (False, [], None)
    billing.move_tool(INVOICE, 8)
    watched(engine)
    assert len(detected(engine)) == 2


def test_drift_from_another_release_is_another_drift(engine: Engine, billing: Toolset) -> None:
    billing.move_tool(INVOICE, 9)
    watched(engine)
    release(engine, billing)
    billing.move_tool(INVOICE, 8)
    watched(engine)
    assert [one.data["release_number"] for one in detected(engine)] == [1, 2]


def test_a_toolset_that_nobody_looked_at_before_is_told_if_it_has_drifted(engine: Engine, billing: Toolset) -> None:
    billing.move_tool(INVOICE, 9)
    assert watched(engine).turned == [billing.id]


def test_a_release_of_older_software_is_compared_by_what_it_captured(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    insert_older_release(engine, billing, 1)
    with engine.begin() as connection:
        current = "UPDATE toolsets SET current_release_id = (SELECT id FROM toolset_releases)"
        connection.execute(text(current))
    told = drift(engine, billing)
    watched(engine)
    row = seen(engine)[billing.id]
    assert (row.drifted, set(row.components)) == (told.drifted, set(told.changes))
    billing.edit(description="edited")
    watched(engine)
    assert "settings" in seen(engine)[billing.id].components


def test_only_living_toolsets_with_a_current_release_have_a_row(engine: Engine, billing: Toolset) -> None:
    billing.project.toolset("never-released")
    stage(engine, billing)
    gone = billing.project.toolset("gone")
    release(engine, gone)
    gone.edit(description="edited")
    assert watched(engine).looked_at == 2
    assert number_drifted(engine) == 1
    gone.delete()
    assert number_drifted(engine) == 0
    watched(engine)
    assert set(seen(engine)) == {billing.id}
    billing.edit(current_release_id=None)
    watched(engine)
    assert seen(engine) == {}


def test_the_oldest_look_comes_first_and_a_pass_is_bounded(engine: Engine, billing: Toolset) -> None:
    others = [billing.project.toolset(f"other-{number}") for number in range(4)]
    for one in others:
        release(engine, one)
    everyone = {billing.id, *(one.id for one in others)}
    met: list[set[UUID]] = []
    for _ in range(3):
        before = {one: row.checked_at for one, row in seen(engine).items()}
        assert watched(engine, limit=2).looked_at == 2
        met.append({one for one, row in seen(engine).items() if row.checked_at not in (None, before.get(one))})
    assert met[0] | met[1] | met[2] == everyone  # the third pass begins anew with whom the first looked at
    assert met[0] & met[1] == set()
    assert watched(engine, longest=0.0).looked_at == 0


def test_one_pass_looks_at_each_toolset_once(engine: Engine, billing: Toolset) -> None:
    for number in range(3):
        release(engine, billing.project.toolset(f"other-{number}"))
    assert watched(engine).looked_at == 4


def test_passes_at_once_share_the_work_and_tell_once(engine: Engine, billing: Toolset) -> None:
    everyone = [billing, *(billing.project.toolset(f"other-{number}") for number in range(11))]
    for one in everyone[1:]:
        release(engine, one)
    for one in everyone:
        one.edit(description="edited")
    with ThreadPoolExecutor(4) as threads:
        passes = list(threads.map(lambda _: watched(engine), range(4)))
    watched(engine)
    assert sorted(one.toolset_id for one in detected(engine)) == sorted(one.id for one in everyone)
    assert sum(len(one.turned) for one in passes) == len(everyone)


def test_a_release_between_two_statements_of_a_look_is_no_drift(engine: Engine, billing: Toolset) -> None:
    """The release that is current and live state are read in one snapshot."""
    watched(engine)
    billing.edit(description="edited")
    release(engine, billing)
    billing.edit(description="edited again")
    once = Once(lambda: release(engine, billing))

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "release_worker_digest" in statement and "INSERT" not in statement:
            once()

    with single_statement(engine):
        event.listen(engine, "before_cursor_execute", before)
        watched(engine)
    row = seen(engine)[billing.id]
    assert row.drifted  # as it was at the moment of the snapshot: release 2, and an edit
    assert watched(engine).turned == []
    assert not seen(engine)[billing.id].drifted
    assert [one.data["release_number"] for one in detected(engine)] == [2]


def test_a_toolset_that_cannot_be_compared_is_told_and_does_not_keep_the_others_from_their_turn(
    engine: Engine, billing: Toolset
) -> None:
    other = billing.project.toolset("other")
    release(engine, other)
    watched(engine)
    other.edit(description="edited")
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        newer = "UPDATE toolset_versions SET form = 99 WHERE toolset_id = :id"
        connection.execute(text(newer), {"id": billing.id})
    billing.edit(description="edited")
    looked = watched(engine)
    assert list(looked.failed) == [billing.id]
    assert looked.failed[billing.id].startswith("UnsupportedContent: ")
    assert looked.turned == [other.id]
    row = seen(engine)[billing.id]
    assert row.failed == looked.failed[billing.id]
    assert not row.drifted
    assert watched(engine, limit=2).looked_at == 2


def test_a_plug_in_that_is_broken_fails_each_look_and_keeps_none_from_its_turn(
    engine: Engine, billing: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = billing.project.toolset("other")
    release(engine, other)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("release_worker.operations.watch_drift.drifted_components", broken)
    looked = watched(engine)
    assert looked.failed == {billing.id: "RuntimeError: a defect", other.id: "RuntimeError: a defect"}
    assert {row.failed for row in seen(engine).values()} == {"RuntimeError: a defect"}


def test_a_worker_watches_as_its_settings_say(database_url: str, engine: Engine, billing: Toolset) -> None:
    billing.edit(description="edited")
    settings = Settings.model_validate({"database_url": database_url, "broker_url": "redis://127.0.0.1"})
    runtime = Runtime(settings)
    assert runtime.watch_drift().turned == [billing.id]
    runtime.close()
    assert Settings.model_validate({"drift_interval": 7}).limits.drift_interval == 7


def test_a_pass_ends_while_somebody_alters_a_table_of_live_state(engine: Engine, billing: Toolset) -> None:
    """No toolset can be looked at then; the next pass looks at all of them."""
    billing.edit(description="edited")
    with engine.begin() as altering:
        altering.execute(text("LOCK TABLE variations"))
        looked = watched(engine)
    assert (looked.looked_at, looked.turned, looked.failed) == (0, [], {})
    assert watched(engine).turned == [billing.id]
