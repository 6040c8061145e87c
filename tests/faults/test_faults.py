"""The plan of a fault run is a function of its seed and options. `make faults` runs it."""

from tests.faults.plan import ACTIONS, FAULTS, HOLDINGS, make_plan


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
