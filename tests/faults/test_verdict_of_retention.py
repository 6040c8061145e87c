"""The judge of pins and prunes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from tests.faults.estate import build_estate
from tests.faults.history import History
from tests.faults.verdict import Bad

Damage = Callable[[History], object]
FIRST, RELEASES, KEEP = 0, 5, 2


@pytest.fixture
def history(engine: Engine) -> History:
    """Five releases, of which 1 is pinned and 2 and 3 are pruned; then a rollback and a plan that find no release."""
    made = History(engine, build_estate(engine))
    for epoch in range(RELEASES):
        made.edit(FIRST, epoch, "tools", "settings")
        made.do(FIRST)
    made.do(FIRST, "pin", release_number=1)
    made.do(FIRST, "pin", release_number=2)
    made.do(FIRST, "pin", release_number=2, pinned=False)
    plan = made.plan(FIRST, release_number=2)
    made.do(FIRST, "prune", keep=KEEP)
    made.do(FIRST, "apply_plan", plan_id=plan)
    made.do(FIRST, "rollback", release_number=2)
    return made


def _asked_before_the_prune(one: History, which: int) -> None:
    """The caller had the answer to the request that found nothing before another asked for the prune."""
    one.journal.submissions[which] = replace(one.journal.submissions[which], called=0.0, answered=0.1)


def _asked_by_word_before_the_prune(one: History) -> None:
    """By the notes, the releases between had been marked bad."""
    for number in (3, 4):
        _marked(one, number, "bad")
    one.tamper("""
        UPDATE release_requests SET payload = payload || '{"to": "last_good", "release_number": null}'
        WHERE kind = 'rollback' AND status = 'failed'
    """)
    _asked_before_the_prune(one, -1)


def _marked(one: History, number: int, said: str) -> None:
    """By the notes, a release had been marked before."""
    one.tamper(
        """
        INSERT INTO faults.log (seq, kind, toolset_id, what) OVERRIDING SYSTEM VALUE
        SELECT -CAST(:number AS int), 'mark', toolset_id, jsonb_build_object(
            'id', 'm', 'request_id', 'm', 'release_id', what -> 'id', 'mark', CAST(:said AS text))
        FROM faults.log WHERE kind = 'release' AND what -> 'release_number' = to_jsonb(CAST(:number AS int))
    """,
        number=number,
        said=said,
    )


def _pin_unasked(one: History) -> None:
    """As the product writes: noted."""
    with one.engine.begin() as connection:
        pin = "UPDATE toolset_releases SET labels = '{\"pinned\": true}' WHERE release_number = 4"
        assert connection.execute(text(pin)).rowcount == 1


def _never_released_again(one: History) -> None:
    """By the notes, release 2 was the last that was made current."""
    one.tamper("""
        UPDATE faults.log SET what = jsonb_set(what, '{kind}', '"backup"')
        WHERE kind = 'release' AND CAST(what ->> 'release_number' AS int) > 2
    """)


def _rolled_back_before(one: History) -> None:
    """By the notes, a rollback to release 2 had been before."""
    one.tamper("""
        INSERT INTO faults.log (seq, kind, toolset_id, what) OVERRIDING SYSTEM VALUE
        SELECT -1, 'rollback', toolset_id, jsonb_build_object(
            'id', 'r', 'request_id', 'r', 'from_release_id', NULL, 'to_release_id', what -> 'id',
            'backup_release_id', NULL, 'components', '[]'::jsonb, 'changes', '{}'::jsonb)
        FROM faults.log WHERE kind = 'gone' AND CAST(what ->> 'release_number' AS int) = 2
    """)


def _changed(assignment: str, where: str) -> Damage:
    """A request whose row says something else."""
    return lambda one: one.tamper(f"UPDATE release_requests SET {assignment} WHERE {where}")


PRUNE = "kind = 'prune'"
NOT_FOUND = "error ->> 'type' = 'ReleaseNotFound'"
DAMAGE: tuple[tuple[str, Bad, Damage], ...] = (
    (
        "a release that went without a prune",
        "lost",
        lambda one: one.tamper("DELETE FROM toolset_releases WHERE release_number = 4"),
    ),
    ("a prune that reported too many", "lost", _changed("result = jsonb_set(result, '{pruned}', '[2, 3, 4]')", PRUNE)),
    ("a prune that reported too few", "lost", _changed("result = jsonb_set(result, '{pruned}', '[2]')", PRUNE)),
    ("a prune that kept another number", "lost", _changed("result = jsonb_set(result, '{kept}', '9')", PRUNE)),
    (
        "a pinned release that was pruned",
        "lost",
        lambda one: one.tamper("DELETE FROM faults.log WHERE kind = 'labels' AND NOT what -> 'labels' ? 'pinned'"),
    ),
    ("a current release that was pruned", "lost", _never_released_again),
    ("a release that a rollback names and that was pruned", "lost", _rolled_back_before),
    ("one of the newest that was pruned", "lost", _changed("payload = jsonb_set(payload, '{keep}', '3')", PRUNE)),
    ("the newest good release that was pruned", "lost", lambda one: _marked(one, 2, "good")),
    (
        "a release that was pruned before a request that waited for it",
        "lost",
        lambda one: _asked_before_the_prune(one, -1),
    ),
    (
        "a release that was pruned before a plan that waited for it",
        "lost",
        lambda one: _asked_before_the_prune(one, -2),
    ),
    ("a release that was pruned before a word that meant it", "lost", _asked_by_word_before_the_prune),
    (
        "a release that is there and was not found",
        "lost",
        _changed("payload = jsonb_set(payload, '{release_number}', '1')", NOT_FOUND),
    ),
    (
        "a pin that is gone",
        "lost",
        lambda one: one.tamper("UPDATE toolset_releases SET labels = '{}' WHERE labels ? 'pinned'"),
    ),
    (
        "a pin's answer of another release",
        "lost",
        _changed("result = jsonb_set(result, '{release_number}', '3')", "kind = 'pin'"),
    ),
    (
        "a pin that succeeded without effect",
        "lost",
        lambda one: one.tamper("DELETE FROM faults.log WHERE kind = 'labels'"),
    ),
    ("a pin that nobody asked for", "unasked", _pin_unasked),
    (
        "releases that something else than a prune deleted",
        "unasked",
        lambda one: one.tamper("DELETE FROM faults.log WHERE kind = 'answer' AND what ->> 'kind' = 'prune'"),
    ),
    (
        "a number that is neither there nor gone",
        "gaps",
        lambda one: one.tamper("DELETE FROM faults.log WHERE kind = 'gone'"),
    ),
    (
        "a predecessor that was not mended to the nearest one",
        "gaps",
        lambda one: one.tamper("UPDATE toolset_releases SET predecessor_id = NULL WHERE release_number = 4"),
    ),
)


def test_an_honest_history_is_acquitted(history: History) -> None:
    assert [one for found in history.judged().values() for one in found] == []
    assert [row.release_number for row in history.releases()] == [1, 4, 5]


@pytest.mark.parametrize(("bad", "damage"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(history: History, bad: Bad, damage: Damage) -> None:
    damage(history)
    assert history.judged()[bad]
