"""The judge of marks, plans, repairs, words and cancelled requests."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from tests.faults.estate import build_estate
from tests.faults.history import History
from tests.faults.verdict import Bad
from tests.support.ledger import ledger

Damage = Callable[[History], object]
FIRST = 0


@pytest.fixture
def history(engine: Engine) -> History:
    """Three releases, of which 1 is bad and 2 is good; a plan that is applied and one that is stale; rollbacks by word,
    of which one finds nothing; a rollback that is refused, a repair, and a release that is cancelled."""
    made = History(engine, build_estate(engine))
    for epoch in range(3):
        made.edit(FIRST, epoch, "tools", "settings")
        made.do(FIRST)
    made.do(FIRST, "mark", release_number=1, mark="bad")
    made.do(FIRST, "mark", release_number=2, mark="good")
    made.do(FIRST, "apply_plan", plan_id=made.plan(FIRST, release_number=2))
    stale = made.plan(FIRST, release_number=2)
    made.edit(FIRST, 10, "settings")
    made.do(FIRST, "apply_plan", plan_id=stale)
    made.do(FIRST, "rollback", to="undo", allow_shared_impact=True)
    made.do(FIRST, "rollback", to="previous", allow_shared_impact=True)
    made.do(FIRST, "rollback", to="last_good", allow_shared_impact=True)
    made.do(FIRST, "rollback", release_number=1, allow_shared_impact=True)
    made.edit(FIRST, 11, "tools")
    made.do(FIRST, "repair", allow_shared_impact=True)
    made.cancel(FIRST)
    return made


def _changed(assignment: str, where: str) -> Damage:
    """Requests whose rows say something else."""
    return lambda one: one.tamper(f"UPDATE release_requests SET {assignment} WHERE {where}")


def _noted(assignment: str, where: str) -> Damage:
    """Notes that say something else."""
    return lambda one: one.tamper(f"UPDATE faults.log SET {assignment} WHERE {where}")


def _copy_of_a_mark(request: str) -> Damage:
    return lambda one: one.tamper(
        "INSERT INTO release_marks (release_id, mark, marked_by, request_id)"
        f" SELECT release_id, mark, marked_by, {request} FROM release_marks LIMIT 1"
    )


def _never_marked(one: History) -> None:
    one.tamper("DELETE FROM release_marks")
    one.tamper("DELETE FROM faults.log WHERE kind = 'mark'")


def _cancelled_after_all(one: History) -> None:
    """Somebody cancelled a request whose release is there."""
    request_id = one.journal.submissions[0].request_id
    assert request_id is not None
    one.journal.note_cancel(request_id, "done")
    one.tamper(
        "UPDATE release_requests SET status = 'failed', error = '{\"type\": \"RequestCancelled\"}' WHERE id = :id",
        id=request_id,
    )


def _cancelled_in_vain(one: History) -> None:
    one.journal.note_cancel(one.do(FIRST), "done")


APPLIED = "kind = 'apply_plan' AND status = 'succeeded'"
STALE = "kind = 'apply_plan' AND status = 'failed'"
BAD_MARK = "error ->> 'type' = 'ReleaseMarkedBad'"
OTHER_TARGET = """
    what = jsonb_set(what, '{to_release_id}', (
        SELECT to_jsonb(id) FROM toolset_releases WHERE release_number = 1 LIMIT 1))
"""
OF_THE_REPAIR = "kind = 'rollback' AND what ->> 'request_id' = (SELECT id FROM release_requests WHERE kind = 'repair')"
DAMAGE: tuple[tuple[str, Bad, Damage], ...] = (
    ("a mark that nobody asked for", "unasked", _copy_of_a_mark("NULL")),
    ("a mark of an unknown request", "unasked", _copy_of_a_mark("'unknown'")),
    (
        "a mark of a request that failed",
        "unasked",
        _changed("status = 'failed', error = '{\"type\": \"ReleaseNotFound\"}'", "kind = 'mark'"),
    ),
    (
        "a mark that says something else",
        "unasked",
        lambda one: one.tamper("UPDATE release_marks SET mark = 'good' WHERE mark = 'bad'"),
    ),
    (
        "a mark's answer of another release",
        "unasked",
        _changed("result = result || '{\"release_number\": 3}'", "kind = 'mark'"),
    ),
    ("a mark that is there twice", "doubled", _copy_of_a_mark("request_id")),
    ("a mark that is gone", "lost", lambda one: one.tamper("DELETE FROM release_marks WHERE mark = 'bad'")),
    ("a mark that succeeded without effect", "lost", _never_marked),
    (
        "a stale plan that was applied",
        "unexplained",
        _changed(
            "payload = payload || jsonb_build_object('plan_id', ("
            f"SELECT payload -> 'plan_id' FROM release_requests WHERE {STALE}))",
            APPLIED,
        ),
    ),
    (
        "a stale plan that found nothing to do",
        "unexplained",
        _changed(
            "status = 'succeeded', result = (SELECT result || '{\"rollback_id\": null}' FROM release_requests"
            f" WHERE {APPLIED})",
            STALE,
        ),
    ),
    (
        "a plan that was refused because of what had not moved",
        "broken",
        _changed("error = jsonb_set(error, '{details, moved}', '[\"resources\"]')", STALE),
    ),
    (
        "a plan that was refused because of a current release that is the same",
        "broken",
        _changed("error = jsonb_set(error, '{details, moved}', '[\"the current release\"]')", STALE),
    ),
    (
        "a plan that was refused for no reason",
        "broken",
        _changed("error = jsonb_set(error, '{details, moved}', '[]')", STALE),
    ),
    (
        "a plan that failed with what it had to tell",
        "broken",
        _changed("status = 'failed', error = '{\"type\": \"SharedStateImpact\"}'", "payload -> 'dry_run' = 'true'"),
    ),
    ("a refusal as stale that expected nothing", "broken", _changed('error = \'{"type": "StaleState"}\'', BAD_MARK)),
    (
        "a refusal of a release that was not marked",
        "broken",
        _noted('what = what || \'{"mark": "good"}\'', "kind = 'mark'"),
    ),
    (
        "a refusal of a bad release that was allowed",
        "broken",
        _changed("payload = payload || '{\"allow_bad\": true}'", BAD_MARK),
    ),
    ("a rollback to a bad release", "unexplained", _noted('what = what || \'{"mark": "bad"}\'', "kind = 'mark'")),
    (
        "a word that was taken for another",
        "unexplained",
        _changed('payload = payload || \'{"to": "previous"}\'', "payload ->> 'to' = 'undo'"),
    ),
    (
        "a word that meant a release and found none",
        "lost",
        _changed('payload = payload || \'{"to": "undo"}\'', "payload ->> 'to' = 'last_good'"),
    ),
    ("a repair that changed the current release", "unexplained", _noted(OTHER_TARGET, OF_THE_REPAIR)),
    ("an effect of a cancelled request", "unasked", _cancelled_after_all),
    ("a request that nobody cancelled", "unasked", lambda one: one.journal.cancels.clear()),
    ("a cancelled request that went on", "lost", _cancelled_in_vain),
)


def test_an_honest_history_is_acquitted(history: History) -> None:
    assert [one for found in history.judged().values() for one in found] == []


def test_the_honest_history_has_every_refusal(history: History) -> None:
    failed = [row.error["type"] for row in ledger(history.engine) if row.status == "failed"]
    assert failed == ["StaleState", "ReleaseNotFound", "ReleaseMarkedBad", "RequestCancelled"]


@pytest.mark.parametrize(("bad", "damage"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(history: History, bad: Bad, damage: Damage) -> None:
    damage(history)
    assert history.judged()[bad]
