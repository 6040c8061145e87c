"""A short run of the fault suite: each kind of fault that needs no long wait, once. `make faults` runs the real one."""

from pathlib import Path

from release_worker.embedded import EmbeddedServers
from tests.faults.campaign import run_campaign
from tests.faults.plan import ACTIONS, FAULTS, HOLDINGS, make_plan
from tests.faults.report import complaints

SEED = 10
LONG = ("stop child past its lease", "stop worker past its lease")
QUICK_FAULTS = tuple(fault for fault in FAULTS if fault not in LONG)


def test_nothing_is_lost_or_doubled_in_a_short_storm(
    broker: EmbeddedServers, database_url: str, tmp_path: Path
) -> None:
    plan = make_plan(SEED, requests=60, rate=6.0, spacing=0.75, faults=QUICK_FAULTS)
    outcome = run_campaign(plan, broker, database_url, tmp_path)
    assert list(complaints(outcome)) == []
    assert {strike.fault for strike in plan.strikes} == set(QUICK_FAULTS)
    assert len(outcome.journal.strikes) >= 6  # a lock that no one holds cannot be deleted
    assert len(outcome.evidence.releases) > 20


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(7, requests=300) == make_plan(7, requests=300)
    assert make_plan(7, requests=300) != make_plan(8, requests=300)
    assert make_plan(7, requests=300, edits="mixed") == make_plan(7, requests=300, edits="mixed")


def test_edits_are_held_by_all_by_none_or_by_some() -> None:
    held = {holding: {edit.held for edit in make_plan(7, requests=300, edits=holding).edits} for holding in HOLDINGS}
    assert held == {"held": {True}, "unheld": {False}, "mixed": {True, False}}


def test_every_kind_of_request_is_in_the_default_plan() -> None:
    assert {ask.action for ask in make_plan(1, requests=400).asks} == set(ACTIONS)


def test_every_kind_of_fault_strikes_in_the_default_plan() -> None:
    assert {strike.fault for strike in make_plan(1, requests=400).strikes} == set(FAULTS)
