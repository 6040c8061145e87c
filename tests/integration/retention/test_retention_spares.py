"""Retention spares what somebody still has a use for: the releases that a rollback involved, and those that a request
names until it is done."""

import pytest
from sqlalchemy import Engine

from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, claim, end_leases, mailbox
from tests.support.operations import release, roll_back
from tests.support.records import marks_of, releases_of
from tests.support.retention import prune
from tests.support.schedules import NOON, add, change
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def release_edits(engine: Engine, toolset: Toolset, times: int) -> None:
    for number in range(times):
        toolset.edit(settings={"released": number})
        release(engine, toolset)


def test_the_backup_of_a_rollback_is_spared_with_where_it_came_from_and_went_to(
    engine: Engine, billing: Toolset
) -> None:
    release_edits(engine, billing, 3)
    billing.edit(settings={"not": "released"})
    assert roll_back(engine, billing, 1).backup_release_number == 4
    release_edits(engine, billing, 3)
    done = prune(engine, billing, keep=1)
    assert done.pruned == (2, 5, 6)
    assert [(row.release_number, row.kind) for row in releases_of(engine, billing)] == [
        (1, "release"),
        (3, "release"),
        (4, "backup"),
        (7, "release"),
    ]
    roll_back(engine, billing, 4)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("rollback", {"release_number": 2}),
        ("create_release", {"expected_current_release": 2}),
        ("pin", {"release_number": 2}),
    ],
)
@pytest.mark.parametrize("lease", ["good", "over"])
def test_what_a_running_request_names_is_spared_until_it_is_done(
    engine: Engine, billing: Toolset, kind: str, fields: dict[str, int], lease: str
) -> None:
    release_edits(engine, billing, 4)
    asked = ask(engine, billing, kind, **fields)
    claim(engine, asked)
    if lease == "over":
        end_leases(engine)
    assert prune(engine, billing, keep=1).pruned == (1, 3)
    end_leases(engine)
    mailbox(engine).work_until_done(asked)
    assert prune(engine, billing, keep=1).pruned == ((2,) if kind == "create_release" else ())


def test_the_newest_good_release_is_spared_and_what_was_said_of_the_others_goes_with_them(
    engine: Engine, billing: Toolset
) -> None:
    release_edits(engine, billing, 5)
    for number, said in ((1, "good"), (2, "good"), (3, "good"), (3, "bad")):
        asked = ask(engine, billing, "mark", release_number=number, mark=said, reason=f"{said} it is")
        assert mailbox(engine).work_until_done(asked).status == "succeeded"
    assert prune(engine, billing, keep=1).pruned == (1, 3, 4)
    assert [(row.release_number, row.mark, row.reason) for row in marks_of(engine, billing)] == [
        (2, "good", "good it is")
    ]


def test_what_a_planned_rollback_names_is_spared_until_it_is_done(engine: Engine, billing: Toolset) -> None:
    release_edits(engine, billing, 5)
    other = billing.project.toolset("other")
    release_edits(engine, other, 3)
    for number, name in ((2, "waits"), (3, "paused"), (4, "is-done")):
        planned = add(
            engine, billing, name, at="2100-06-01T12:00Z", kind="rollback", arguments={"release_number": number}
        )
        change(engine, planned.id, enabled=name == "waits", last_fire_at=NOON if name == "is-done" else None)
    assert prune(engine, billing, keep=1).pruned == (1, 4)
    assert prune(engine, other, keep=1).pruned == (1, 2)
