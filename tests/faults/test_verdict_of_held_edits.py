"""The judge of edits that hold what they edit: contents that nobody wrote, and histories that no order explains."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from tests.faults.estate import build_estate
from tests.faults.history import History
from tests.faults.verdict import Bad

Damage = Callable[[History], object]
FIRST = 0


@pytest.fixture
def history(engine: Engine) -> History:
    """Two releases, a dry run, a look for drift, a rollback with a backup, and one that is partial."""
    made = History(engine, build_estate(engine))
    made.do(FIRST)
    made.edit(FIRST, 1, "tools", "settings")
    made.do(FIRST)
    made.do(FIRST, "rollback", release_number=1, dry_run=True)
    made.edit(FIRST, 2, "tools", "settings", "system")
    made.do(FIRST, "check_drift")
    made.do(FIRST, "rollback", release_number=1, allow_shared_impact=True)
    made.do(FIRST, "rollback", release_number=2, components=("settings",))
    made.edit(FIRST, 3, "tools", "settings")
    return made


def _released_unnoted(one: History, component: str) -> None:
    one.edit_unnoted(FIRST, 40, component)
    one.do(FIRST)


def _read_unnoted(one: History) -> None:
    one.edit_unnoted(FIRST, 40, "tools")
    one.edit(FIRST, 41, "tools")


def _released_too_late(one: History) -> None:
    """The second release holds what an app had replaced before it."""
    one.tamper("""
        UPDATE toolset_releases AS release
        SET toolset_version_id = (
            SELECT toolset_version_id FROM toolset_releases AS other
            WHERE other.toolset_id = release.toolset_id AND other.release_number = 1)
        WHERE release_number = 2
    """)


def _live_state_of_before(one: History) -> None:
    one.tamper(
        """
        UPDATE toolsets SET (name, description, settings) = (
            SELECT name, description, settings FROM toolset_versions AS version
            WHERE version.toolset_id = toolsets.id AND version = 1)
        WHERE id = :id
    """,
        id=one.places[FIRST].id,
    )


def _outcome_of_another(one: History) -> None:
    """The whole rollback's note names another target than what it restored."""
    one.tamper("""
        UPDATE faults.log SET what = jsonb_set(what, '{to_release_id}', (
            SELECT to_jsonb(id) FROM toolset_releases WHERE release_number = 2))
        WHERE kind = 'rollback'
    """)


def _in_a_circle(one: History) -> None:
    """Of two transactions, each replaced what the other had written."""
    for epoch, component in ((40, "settings"), (41, "system"), (42, "settings"), (43, "system")):
        one.edit(FIRST, epoch, component)
    one.tamper("""
        WITH last AS (SELECT seq, transaction, row_number() OVER (ORDER BY seq DESC) AS back FROM faults.log)
        UPDATE faults.log SET transaction = earlier.transaction
        FROM last JOIN last AS earlier ON (last.back, earlier.back) IN ((1, 4), (2, 3))
        WHERE log.seq = last.seq
    """)


def _answered(kind: str, name: str, value: str) -> Damage:
    """A request of this kind answered otherwise."""
    change = f"UPDATE release_requests SET result = jsonb_set(result, '{{{name}}}', '{value}') WHERE {kind}"
    return lambda one: one.tamper(change)


DRIFT, DRY_RUN = "kind = 'check_drift'", "payload -> 'dry_run' = 'true'"
DAMAGE: tuple[tuple[str, Bad, Damage], ...] = (
    ("a list that nobody wrote whole", "torn", lambda one: _released_unnoted(one, "tools")),
    ("a configuration that nobody wrote whole", "torn", lambda one: _released_unnoted(one, "system")),
    ("a deployment that nobody wrote whole", "torn", lambda one: _released_unnoted(one, "deployment")),
    ("live state that nobody wrote whole", "torn", lambda one: one.edit_unnoted(FIRST, 41, "settings")),
    ("a list that an app read and nobody wrote", "torn", _read_unnoted),
    ("a release of what was there before", "unexplained", _released_too_late),
    ("live state that is of an earlier moment", "unexplained", _live_state_of_before),
    ("a rollback that left something else", "unexplained", _outcome_of_another),
    ("transactions in a circle", "unexplained", _in_a_circle),
    ("another drift than there was", "unexplained", _answered(DRIFT, "changes", '{"tools": {}}')),
    ("drift from another release", "unexplained", _answered(DRIFT, "current_release_number", "1")),
    ("a dry run from another release", "unexplained", _answered(DRY_RUN, "from_release_number", "1")),
    ("a dry run with no changes", "unexplained", _answered(DRY_RUN, "changes", "{}")),
)


def test_an_honest_history_is_acquitted(history: History) -> None:
    assert [one for found in history.judged().values() for one in found] == []


@pytest.mark.parametrize(("bad", "damage"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(history: History, bad: Bad, damage: Damage) -> None:
    damage(history)
    assert history.judged()[bad]


def test_a_release_may_hold_what_an_app_replaced_while_it_was_captured(history: History) -> None:
    history.do(FIRST)
    history.edit(FIRST, 4, "system")
    history.tamper("""
        WITH last AS (
            DELETE FROM faults.log WHERE seq = (SELECT max(seq) FROM faults.log WHERE kind = 'release') RETURNING *)
        INSERT INTO faults.log (transaction, kind, toolset_id, what)
        SELECT transaction, kind, toolset_id, what FROM last
    """)
    assert history.judged()["unexplained"] == []


def test_what_an_app_edited_without_holding_it_is_not_judged(history: History) -> None:
    history.edit(FIRST, 50, "tools", held=False)
    _released_unnoted(history, "tools")
    assert history.judged()["torn"] == []
