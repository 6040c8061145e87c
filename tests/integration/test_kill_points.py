"""A worker dies at every statement in turn; after recovery there is exactly one effect, and live state is right."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from release_worker.settings import given_settings
from release_worker.store.engine import make_engine
from release_worker.store.tables import metadata
from release_worker.worker.inbox import Message
from release_worker.worker.policy import RetryPolicy
from release_worker.worker.runtime import Runtime
from release_worker.worker.tasks import work_message
from tests.support import elsewhere
from tests.support.billing import COMPONENTS, INVOICE, REFUND, a_full_toolset, active_deployment, edit_everything
from tests.support.bundles import exported, keep
from tests.support.events import events_of_request
from tests.support.kill_points import STATUS, Killed, KillSwitch
from tests.support.ledger import ask, end_leases, ledger, mailbox, record
from tests.support.live_state import LiveState, live_state
from tests.support.metrics import assert_the_ledger_is_counted
from tests.support.operations import release, roll_back
from tests.support.records import (
    MEASUREMENTS,
    assert_numbers_and_chain_complete,
    captured_state,
    current_number,
    marks_of,
    releases_of,
    rollbacks_of,
)
from tests.support.staging import discard, living_copies, mode_of, set_mode, stage
from tests.support.world import Toolset

ROOT = Path(__file__).parents[2]
# No number of deaths is too many.
PATIENT = RetryPolicy(attempts=1_000)


Prepared = Mapping[str, Any] | None


@dataclass(frozen=True)
class Scenario:
    """What is asked of a toolset whose live state is that of release 1, and what its one effect is."""

    prepare: Callable[[Engine, Toolset, int], Prepared]
    """Returns the fields of the request that are only known then."""
    kind: str
    made: list[str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    restores: tuple[str, ...] = ()
    """The components that get back what release 1 has."""
    at_once: bool = False
    """Whether each death is that of the first worker that gets the message."""
    copies: int = 0
    """How many staged copies there are in the end."""


def edit(_engine: Engine, billing: Toolset, death: int) -> None:
    """Otherwise than before each other death, so that all of it is new to the records."""
    edit_everything(billing)
    billing.edit(settings={"death": death})
    billing.project.configure("death", death)
    active_deployment(billing).define_tool("tools:function:billing:death", {"death": death})
    billing.vary(INVOICE, {"death": death})
    billing.project.organization.vary(REFUND, {"death": death})


def edit_and_release(engine: Engine, billing: Toolset, death: int) -> None:
    edit(engine, billing, death)
    release(engine, billing)


def edit_and_lose_a_tool(engine: Engine, billing: Toolset, death: int) -> None:
    """One that release 1 has is neither listed nor provided any more."""
    edit(engine, billing, death)
    active_deployment(billing).remove_tool(REFUND)


def stage_and_edit(engine: Engine, billing: Toolset, death: int) -> None:
    """A copy has what release 1 has; the toolset itself is edited."""
    stage(engine, billing)
    edit(engine, billing, death)


def stage_and_release(engine: Engine, billing: Toolset, death: int) -> None:
    stage(engine, billing)
    edit_and_release(engine, billing, death)


def discard_and_release(engine: Engine, billing: Toolset, death: int) -> None:
    """There is no copy, whatever there was before."""
    if living_copies(engine, billing):
        discard(engine, billing)
    edit_and_release(engine, billing, death)


def iterate_and_release(engine: Engine, billing: Toolset, death: int) -> None:
    set_mode(engine, billing, "iteration")
    edit_and_release(engine, billing, death)


def keep_a_bundle_and_edit(engine: Engine, billing: Toolset, death: int) -> Prepared:
    """Of release 1; another one is current, and live state is that of none."""
    bundle = keep(engine, exported(engine, billing, 1))
    edit_and_release(engine, billing, death)
    billing.edit(description=f"death {death}")
    return {"bundle": bundle}


OWN = ("tools", "resources", "settings", "toolset_variations")


def plan(engine: Engine, billing: Toolset, death: int) -> dict[str, Any]:
    """The plan of a rollback to release 1, to be applied."""
    edit(engine, billing, death)
    options = {"release_number": 1, "dry_run": True}
    return {"plan_id": mailbox(engine).work_until_done(ask(engine, billing, "rollback", **options)).id}


SCENARIOS = {
    "a release": Scenario(edit, "create_release", ["release"], {"notes": "n"}),
    "a release at once": Scenario(edit, "create_release", ["release"], {"notes": "n"}, at_once=True),
    "a rollback": Scenario(edit_and_release, "rollback", [], {"release_number": 1}, COMPONENTS),
    "a rollback with a backup": Scenario(edit, "rollback", ["backup"], {"release_number": 1}, COMPONENTS),
    "a rollback of some components that provides tools again": Scenario(
        edit_and_lose_a_tool,
        "rollback",
        ["backup", "restored"],
        {"release_number": 1, "components": ["tools", "settings", "system"], "on_missing": "recreate"},
        ("tools", "settings", "system"),
    ),
    "a staged copy": Scenario(discard_and_release, "stage", [], copies=1),
    "a publication": Scenario(stage_and_edit, "publish", ["backup", "release"], {"notes": "n"}, OWN),
    "a discarded copy": Scenario(stage_and_release, "discard", []),
    "a mode": Scenario(iterate_and_release, "set_mode", [], {"mode": "staging"}),
    "an import": Scenario(keep_a_bundle_and_edit, "import_bundle", ["backup", "release"], {}, COMPONENTS),
    "a plan that is applied": Scenario(plan, "apply_plan", ["backup"], {}, COMPONENTS),
    "a repair": Scenario(edit, "repair", ["backup"], {"allow_shared_impact": True}, COMPONENTS),
    "a mark": Scenario(edit_and_release, "mark", [], {"release_number": 1, "mark": "good"}),
}

# The events of each kind of request that is carried out.
TOLD = {
    **dict.fromkeys(("create_release", "publish", "import_bundle"), ("release.created",)),
    **dict.fromkeys(("rollback", "apply_plan", "repair"), ("rollback.succeeded",)),
    "mark": ("release.marked",),
}


@pytest.fixture
def mortal(database_url: str) -> Iterator[Engine]:
    """The engine of a worker that dies."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def expected_state(scenario: Scenario, before: LiveState, first: LiveState) -> LiveState:
    return {name: first[name] if name in scenario.restores else content for name, content in before.items()}


def assert_one_effect(
    engine: Engine, billing: Toolset, scenario: Scenario, request_id: str, expected: LiveState
) -> None:
    live = live_state(engine, billing)
    if scenario.fields.get("on_missing") == "recreate":
        assert REFUND in live["deployment"]["tools"]
        expected = {**expected, "deployment": live["deployment"]}
    assert live == expected
    made = [row.kind for row in releases_of(engine, billing) if row.request_id == request_id]
    assert made == scenario.made
    rollbacks = [row for row in rollbacks_of(engine, billing) if row.request_id == request_id]
    assert len(rollbacks) == (scenario.kind in ("rollback", "apply_plan", "repair"))
    marks = [row for row in marks_of(engine, billing) if row.request_id == request_id]
    assert len(marks) == (scenario.kind == "mark")
    assert events_of_request(engine, request_id) == list(TOLD.get(scenario.kind, ()))
    assert len(living_copies(engine, billing)) == scenario.copies
    assert mode_of(engine, billing) == scenario.fields.get("mode", "iteration")
    current = current_number(engine, billing)
    assert current is not None
    assert captured_state(engine, billing, current) == live
    assert record(engine, request_id).status == "succeeded"
    assert_the_ledger_is_counted(engine)


def all_but_requests(engine: Engine) -> str:
    """A fingerprint of every row of every other table but the measurements."""
    tables = [table.name for table in metadata.sorted_tables if table.name not in {"release_requests", *MEASUREMENTS}]
    each = [f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} AS t" for name in tables]
    with engine.connect() as connection:
        return str(connection.execute(text(" UNION ALL ".join(each))).scalars().all())


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_request_whose_workers_die_one_after_the_other_a_statement_later_each_has_its_effect_once(
    engine: Engine, mortal: Engine, name: str
) -> None:
    scenario = SCENARIOS[name]
    billing = a_full_toolset(engine)
    release(engine, billing)
    first = live_state(engine, billing)
    switch = KillSwitch(mortal, every=name == "a release")
    deaths: list[str] = []
    asked = None
    survived = False
    while not survived:
        if asked is None:
            roll_back(engine, billing, 1)
            fields = {**scenario.fields, **(scenario.prepare(engine, billing, len(deaths)) or {})}
            before, untouched = live_state(engine, billing), all_but_requests(engine)
            asked = ask(engine, billing, scenario.kind, **fields)
        switch.arm(len(deaths))
        with suppress(Killed), capture_logs():
            mailbox(mortal, retry=PATIENT).work_until_done(asked, first=scenario.at_once)
        survived = not switch.dead
        deaths += [] if survived else switch.passed[-1:]
        switch.disarm()
        end_leases(engine)
        if not record(engine, asked).finished:
            assert all_but_requests(engine) == untouched
            continue
        with capture_logs():
            mailbox(mortal, worker="worker-b").work_until_done(asked)
        assert_one_effect(engine, billing, scenario, asked, expected_state(scenario, before, first))
        asked = None
    assert deaths == switch.passed
    # of the claim, of the effect, of the look at how it ended; at once, the claim is none
    assert deaths.count("after the commit") >= (2 if scenario.at_once else 3)
    assert_numbers_and_chain_complete(engine, billing)


def test_a_plain_message_whose_first_worker_dies_at_any_statement_has_its_effect_once(
    engine: Engine, database_url: str
) -> None:
    """Nobody wrote its row: it is accepted and carried out in one transaction, or by whoever gets the message next."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    runtime = Runtime(given_settings(database_url=database_url, database_schema=elsewhere.SCHEMA), retry=PATIENT)
    switch = KillSwitch(runtime.inbox._engine)
    deaths: list[str] = []
    survived = False
    while not survived:
        billing.edit(settings={"death": len(deaths)})
        live, numbered = live_state(engine, billing), len(releases_of(engine, billing))
        asked = str(uuid4())
        switch.arm(len(deaths))
        with suppress(Killed), capture_logs():
            work_message(runtime, "create_release", plain(billing, asked, first=True))
        survived = not switch.dead
        deaths += [] if survived else switch.passed[-1:]
        switch.disarm()
        known = {row.id: row.status for row in ledger(engine)}
        assert len(releases_of(engine, billing)) - numbered == (known.get(asked) == "succeeded")
        assert known.get(asked) in (None, "succeeded")
        with capture_logs():
            work_message(runtime, "create_release", plain(billing, asked, first=False))
        assert len(releases_of(engine, billing)) == numbered + 1
        assert captured_state(engine, billing, numbered + 1) == live
        assert events_of_request(engine, asked) == ["release.created"]
        assert_the_ledger_is_counted(engine)
    runtime.close()
    assert deaths == switch.passed
    assert deaths.count("after the commit") == 1
    assert_numbers_and_chain_complete(engine, billing)


def plain(billing: Toolset, request_id: str, *, first: bool) -> Message:
    """A task that was sent without the client."""
    return Message(request_id, [], {"toolset": billing.path, "actor": "tester"}, in_ledger=False, first=first)


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_the_same_holds_for_a_process_that_ends_without_a_word(
    engine: Engine, mortal: Engine, database_url: str, moment: str
) -> None:
    scenario = SCENARIOS["a rollback with a backup"]
    billing = a_full_toolset(engine)
    release(engine, billing)
    first = live_state(engine, billing)
    edit(engine, billing, 1)
    switch = KillSwitch(mortal)
    switch.arm(None)
    mailbox(mortal).work_until_done(ask(engine, billing, scenario.kind, **scenario.fields))
    edit(engine, billing, 2)
    before, untouched = live_state(engine, billing), all_but_requests(engine)
    asked = ask(engine, billing, scenario.kind, **scenario.fields)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.kill_points", database_url, asked, str(point_of(moment, switch.passed))],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == STATUS, ended.stderr
    if moment != "after the commit":
        assert all_but_requests(engine) == untouched
    end_leases(engine)
    mailbox(engine, worker="worker-b").work_until_done(asked)
    assert_one_effect(engine, billing, scenario, asked, expected_state(scenario, before, first))


def point_of(moment: str, passed: list[str]) -> int:
    """The number of a moment of the effect's transaction."""
    marked = next(place for place, name in enumerate(passed) if "SET status = 'succeeded'" in name)
    return passed.index(moment, marked)
