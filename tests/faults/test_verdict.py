"""The judge itself: it acquits an honest history, and finds what is done to one. A check that cannot fail is worth
nothing."""

import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from tests.faults.estate import build_estate
from tests.faults.evidence import gather
from tests.faults.history import WHOLE, History
from tests.faults.journal import Struck
from tests.faults.settling import differences, leftovers
from tests.faults.shop import Shop
from tests.faults.verdict import BAD, Bad, unaccepted
from tests.support.ledger import ask, claim


@pytest.fixture
def history(engine: Engine) -> History:
    """Releases, a rollback with a backup, one that is partial, one that is refused: all in order."""
    made = History(engine, build_estate(engine))
    made.do(WHOLE)
    made.edit(WHOLE, 1)
    made.do(WHOLE)
    made.edit(WHOLE, 2)
    made.do(WHOLE, "rollback", release_number=1)
    made.do(WHOLE, "rollback", release_number=2)
    made.do(0)
    made.edit(0, 3, "settings", "tools")
    made.do(0, "rollback", release_number=1, components=("settings",))
    made.do(0, expected_current_release=77)
    return made


Damage = Callable[[History], object]
COPY = """
    INSERT INTO toolset_releases (toolset_id, release_number, kind, toolset_version_id, source_state_id,
        global_variations_version_id, toolset_variations_version_id, digest, predecessor_id, released_by, request_id)
    SELECT toolset_id, (SELECT max(release_number) + 1 FROM toolset_releases WHERE toolset_id = :whole), kind,
        toolset_version_id, source_state_id, global_variations_version_id, toolset_variations_version_id, digest,
        predecessor_id, released_by, {request}
    FROM toolset_releases WHERE toolset_id = :whole AND release_number = 2
"""
SECOND = "WHERE toolset_id = :whole AND release_number = 2"
LAST_REQUEST = "WHERE seq = (SELECT max(seq) FROM release_requests)"
DAMAGE: tuple[tuple[str, Bad, Damage], ...] = (
    ("an accepted request without a row", "lost", lambda one: one.note("nowhere", "accepted")),
    ("a message that vanished", "lost", lambda one: one.note("nowhere", "sent")),
    (
        "a success without its release",
        "lost",
        lambda one: one.tamper("DELETE FROM toolset_releases WHERE toolset_id = :whole AND release_number = 2"),
    ),
    ("a success without its rollback", "lost", lambda one: one.tamper("DELETE FROM toolset_rollbacks")),
    (
        "a success that names another's release",
        "lost",
        lambda one: one.tamper(f"UPDATE toolset_releases SET digest = 'of another' {SECOND}"),
    ),
    (
        "a release that nobody asked for",
        "unasked",
        lambda one: one.tamper(COPY.format(request="NULL")),
    ),
    (
        "a release of an unknown request",
        "unasked",
        lambda one: one.tamper(COPY.format(request="'unknown'")),
    ),
    (
        "a release of a request that failed",
        "unasked",
        lambda one: one.tamper(
            "UPDATE release_requests SET status = 'failed', error = '{\"type\": \"StaleState\"}'"
            " WHERE status = 'succeeded'"
        ),
    ),
    (
        "a release of a rollback's request",
        "unasked",
        lambda one: one.tamper(f"UPDATE toolset_releases SET kind = 'backup' {SECOND}"),
    ),
    (
        "a request whose transaction was undone",
        "unasked",
        lambda one: one.note(one.do(1), "undone"),
    ),
    ("a release that is there twice", "doubled", lambda one: one.tamper(COPY.format(request="request_id"))),
    (
        "a rollback that is there twice",
        "doubled",
        lambda one: one.tamper(
            "INSERT INTO toolset_rollbacks (toolset_id, from_release_id, to_release_id, components, rolled_back_by,"
            " request_id) SELECT toolset_id, from_release_id, to_release_id, components, rolled_back_by, request_id"
            " FROM toolset_rollbacks LIMIT 1"
        ),
    ),
    (
        "a number that is missing",
        "gaps",
        lambda one: one.tamper(f"UPDATE toolset_releases SET release_number = 50 {SECOND}"),
    ),
    (
        "a version that is missing",
        "gaps",
        lambda one: one.tamper("UPDATE toolset_versions SET version = 50 WHERE toolset_id = :whole AND version = 2"),
    ),
    (
        "a wrong predecessor",
        "gaps",
        lambda one: one.tamper(f"UPDATE toolset_releases SET predecessor_id = NULL {SECOND}"),
    ),
    (
        "a version's wrong predecessor",
        "gaps",
        lambda one: one.tamper("UPDATE toolset_versions SET predecessor_id = NULL WHERE predecessor_id IS NOT NULL"),
    ),
    (
        "a rollback from what was not current",
        "gaps",
        lambda one: one.tamper("UPDATE toolset_rollbacks SET from_release_id = to_release_id"),
    ),
    (
        "another current release",
        "gaps",
        lambda one: one.tamper(
            "UPDATE toolsets SET current_release_id ="
            " (SELECT id FROM toolset_releases WHERE toolset_id = :whole AND release_number = 1) WHERE id = :whole"
        ),
    ),
    (
        "content that was edited",
        "torn",
        lambda one: one.tamper("UPDATE toolset_versions SET name = 'Edited'"),
    ),
    (
        "a snapshot that was edited",
        "torn",
        lambda one: one.tamper('UPDATE source_states SET system_snapshot = \'{"config": {}, "prompts": {}}\''),
    ),
    (
        "a release's digest that was edited",
        "torn",
        lambda one: one.tamper("UPDATE toolset_releases SET digest = repeat('0', 64) WHERE release_number = 1"),
    ),
    (
        "half of an edit in one component",
        "torn",
        lambda one: _half_an_edit(one),
    ),
    (
        "half of an edit of a whole toolset",
        "torn",
        lambda one: _mixed_epochs(one),
    ),
    (
        "a request that waits for ever",
        "hanging",
        lambda one: one.tamper(f"UPDATE release_requests SET status = 'queued', finished_at = NULL {LAST_REQUEST}"),
    ),
    ("a request that runs for ever", "hanging", lambda one: claim(one.engine, ask(one.engine, one.whole.path))),
    (
        "a defect",
        "broken",
        lambda one: _fail_last(one, "UnexpectedFailure"),
    ),
    (
        "a request that was given up",
        "broken",
        lambda one: _fail_last(one, "WorkerLost"),
    ),
    ("a worker that died by itself", "broken", lambda one: one.journal.deaths.append("worker1")),
    ("requests in the wrong order", "overtaken", lambda one: _swap_times(one)),
    (
        "a rollback's answer with another backup",
        "unexplained",
        lambda one: one.tamper(
            "UPDATE release_requests SET result = jsonb_set(result, '{backup_release_number}', '99')"
            " WHERE kind = 'rollback' AND status = 'succeeded'"
        ),
    ),
    (
        "an effect of a dry run",
        "unasked",
        lambda one: one.tamper(
            "UPDATE release_requests SET payload = jsonb_set(payload, '{dry_run}', 'true') WHERE kind = 'rollback'"
        ),
    ),
)


def _half_an_edit(one: History) -> None:
    one.tamper("UPDATE toolsets SET description = '999' WHERE id = :id", id=one.places[0].id)
    one.do(0)


def _mixed_epochs(one: History) -> None:
    one.edit(WHOLE, 9, "settings", "tools")
    one.do(WHOLE)


def _fail_last(one: History, error: str) -> None:
    failed = "status = 'failed', error = jsonb_build_object('type', CAST(:error AS text))"
    one.tamper(f"UPDATE release_requests SET {failed} {LAST_REQUEST}", error=error)


def _swap_times(one: History) -> None:
    """The caller had the answer to the second release before it asked for the first."""
    first, second = one.journal.submissions[:2]
    one.journal.submissions[:2] = [
        replace(first, request_id=second.request_id),
        replace(second, request_id=first.request_id),
    ]


def test_an_honest_history_is_acquitted(history: History) -> None:
    assert history.judged() == {bad: [] for bad in BAD}


@pytest.mark.parametrize(("bad", "damage"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_found(history: History, bad: Bad, damage: Damage) -> None:
    damage(history)
    assert history.judged()[bad]


def test_every_kind_of_finding_has_a_case() -> None:
    assert {bad for _, bad, _ in DAMAGE} == set(BAD)


def test_a_message_that_the_broker_lost_with_its_data_was_not_accepted(history: History) -> None:
    history.note("wiped", "sent", called=10.0)
    history.note("sent afterwards", "sent", called=30.0)
    history.journal.strikes.append(Struck("flush broker", 20.0, 21.0, ""))
    history.journal.strikes.append(Struck("kill child", 40.0, 41.0, ""))
    evidence = gather(history.engine, history.places)
    assert unaccepted(evidence, history.journal) == ["request wiped"]
    [lost] = history.judged()["lost"]
    assert "sent afterwards" in lost


def test_a_message_that_was_lost_on_its_way_to_a_worker_that_was_killed_was_not_accepted(history: History) -> None:
    history.note("on its way", "sent", called=10.0)
    history.journal.strikes.append(Struck("kill worker", 20.0, 21.0, ""))
    evidence = gather(history.engine, history.places)
    assert unaccepted(evidence, history.journal) == ["request on its way"]
    assert history.judged()["lost"] == []


def test_live_state_that_is_not_what_the_current_release_says_is_found(history: History) -> None:
    assert list(differences(history.engine, history.whole)) == []
    history.edit(WHOLE, 12, "system")
    assert len(list(differences(history.engine, history.whole))) == 1


def test_locks_and_open_transactions_that_are_left_over_are_found(shop: Shop) -> None:
    assert leftovers(shop.servers, shop.engine, within=0) == []
    with Redis.from_url(shop.servers.redis_url) as redis, shop.engine.connect() as connection:
        redis.set(f"release_worker:lock:toolset:{UUID(int=0)}", "held")
        connection.execute(text("SELECT 1"))
        time.sleep(1.1)
        found = leftovers(shop.servers, shop.engine, within=0)
    assert [one.split()[0] for one in found] == ["lock", "session"]
