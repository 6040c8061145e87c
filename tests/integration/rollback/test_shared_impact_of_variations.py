"""A toolset's own variation hides a global one field by field if both are objects, and wholly if not."""

import pytest
from sqlalchemy import Engine

from tests.support.billing import INVOICE
from tests.support.exact_json import Json
from tests.support.impact import impact
from tests.support.operations import release
from tests.support.world import World

ABSENT = object()


@pytest.mark.parametrize(
    ("released", "edited", "own", "reached"),
    [
        (1, 2, ABSENT, True),
        ({"m": 1}, [{"m": 1}], ABSENT, True),
        (None, ABSENT, ABSENT, True),
        ({}, ABSENT, ABSENT, False),
        ({"m": 1}, {"m": 2}, 5, False),
        ({"m": 1}, {"m": 2}, None, False),
        (1, ABSENT, [], False),
        (1, 2, {}, False),
        (1, {"m": 2}, {"m": 3}, False),
        (1, {"n": 2}, {"m": 3}, True),
    ],
)
def test_variations_that_are_not_both_objects_hide_each_other(
    engine: Engine, released: Json, edited: Json, own: Json, reached: bool
) -> None:
    project = World(engine).organization("acme").project("payments")
    rolled_back, other = project.toolset("rolled-back"), project.toolset("other", tools=[INVOICE])
    if own is not ABSENT:
        other.vary(INVOICE, own)
    project.organization.vary(INVOICE, released)
    release(engine, rolled_back)
    project.organization.unvary(INVOICE)
    if edited is not ABSENT:
        project.organization.vary(INVOICE, edited)
    assert impact(engine, rolled_back) == ({other.path: ["global_variations"]} if reached else {})
