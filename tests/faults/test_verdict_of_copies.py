"""The judge of staged copies and of their publications."""

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
    """A copy that is published over later edits, a publication that finds none, and a copy that is discarded."""
    made = History(engine, build_estate(engine))
    made.edit(FIRST, 1, "tools", "settings")
    made.do(FIRST)
    made.do(FIRST, "stage")
    made.edit(FIRST, 2, "tools", "settings", "system")
    made.do(FIRST)
    made.edit(FIRST, 3, "tools")
    made.do(FIRST, "publish")
    made.do(FIRST, "publish")
    made.do(FIRST, "stage")
    made.do(FIRST, "stage")
    made.do(FIRST, "discard")
    return made


def _forgotten(kind: str) -> Damage:
    """By the notes, the first request of this kind was never answered."""
    return lambda one: one.tamper(
        "DELETE FROM faults.log WHERE seq = (SELECT min(seq) FROM faults.log"
        f" WHERE kind = 'answer' AND what ->> 'kind' = '{kind}')"
    )


def _published_otherwise(one: History) -> None:
    """The release of the publication holds the lists of the release before."""
    one.tamper("""
        UPDATE toolset_releases AS release
        SET toolset_version_id = (
            SELECT toolset_version_id FROM toolset_releases AS other
            WHERE other.toolset_id = release.toolset_id AND other.release_number = 2)
        WHERE request_id = (SELECT id FROM release_requests WHERE kind = 'publish' AND status = 'succeeded')
          AND kind = 'release'
    """)


DAMAGE: tuple[tuple[str, Bad, Damage], ...] = (
    ("a publication of what was not staged", "unexplained", _published_otherwise),
    ("a publication without a copy", "unexplained", _forgotten("stage")),
    ("a copy that was made beside another", "unexplained", _forgotten("publish")),
    (
        "a copy that was not found",
        "lost",
        lambda one: one.tamper(
            "UPDATE release_requests SET status = 'failed', error = '{\"type\": \"ToolsetNotFound\"}'"
            " WHERE kind = 'discard'"
        ),
    ),
    (
        "a publication that succeeded without its release",
        "lost",
        lambda one: one.tamper(
            "DELETE FROM toolset_releases WHERE kind = 'release' AND request_id IN ("
            "SELECT id FROM release_requests WHERE kind = 'publish')"
        ),
    ),
)


def test_an_honest_history_is_acquitted(history: History) -> None:
    assert [one for found in history.judged().values() for one in found] == []
    assert [row.kind for row in history.releases()] == ["release", "release", "backup", "release"]
    assert [row.error["type"] for row in ledger(history.engine) if row.status == "failed"] == ["ToolsetNotFound"]


@pytest.mark.parametrize(("bad", "damage"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(history: History, bad: Bad, damage: Damage) -> None:
    damage(history)
    assert history.judged()[bad]
