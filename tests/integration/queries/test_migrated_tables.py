"""Who only reads reads live state whole, also while an app moves a table of it to other files."""

from typing import Any

import pytest
from sqlalchemy import Engine

from release_worker.operations.watch_drift import watch_drift
from release_worker.queries.diff_staged import diff_staged
from release_worker.queries.drift_now import drift_now
from release_worker.queries.export_bundle import export_bundle
from release_worker.queries.reading import reading_one_moment, reading_records
from release_worker.queries.toolsets import list_toolsets
from release_worker.state.registry import built_in_components
from release_worker.store.engine import single_statement
from release_worker.store.live_snapshot import LIVE_TABLES
from tests.support.events import events
from tests.support.ledger import ask, mailbox
from tests.support.migrating import MIGRATIONS, migrating
from tests.support.operations import released_twice
from tests.support.staging import stage
from tests.support.world import Toolset

REGISTRY = built_in_components()
# What is asked, and what of the answer tells of live state.
QUESTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "check_drift": ({}, ("drifted", "changes")),
    "diff": ({"release_number": 1}, ("same", "changes")),
    "status": ({}, ("drifted", "changes")),
    "rollback": ({"release_number": 1, "dry_run": True}, ("changes", "missing", "live_digests")),
}


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return released_twice(engine)


@pytest.mark.parametrize("migration", MIGRATIONS)
@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_question_is_answered_as_if_nobody_migrated(
    engine: Engine, billing: Toolset, kind: str, migration: str
) -> None:
    fields, told = QUESTIONS[kind]
    before, meanwhile = (ask(engine, billing, kind, **fields) for _ in range(2))
    expected = _told(engine, before, told)
    with migrating(engine, MIGRATIONS[migration]):
        assert _told(engine, meanwhile, told) == expected


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_the_drift_watch_sees_no_drift(engine: Engine, billing: Toolset, migration: str) -> None:
    with migrating(engine, MIGRATIONS[migration]):
        watched = watch_drift(engine, REGISTRY)
    assert (watched.looked_at, watched.turned, watched.failed) == (1, [], {})
    assert [one for one in events(engine) if one.type == "drift.detected"] == []


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_so_says_a_look_at_this_moment(engine: Engine, billing: Toolset, migration: str, database_url: str) -> None:
    with single_statement(engine) as connection:
        listed = list_toolsets(connection)
    with migrating(engine, MIGRATIONS[migration]):
        assert [one.drifted for one in drift_now(database_url, REGISTRY, listed)] == [False]


def test_a_staged_copy_is_compared_whole(engine: Engine, billing: Toolset, database_url: str) -> None:
    stage(engine, billing)
    with migrating(engine, MIGRATIONS["a list"]), reading_one_moment(database_url) as connection:
        assert diff_staged(connection, billing.path, REGISTRY).changes == {}


# What of live state says nothing of names.
CONTENTS = ", ".join(one for one in LIVE_TABLES if one not in {"organizations", "projects", "toolsets"})


@pytest.mark.parametrize(("kind", "fields"), [("verify", {}), ("diff", {"release_number": 1, "to": 2})])
def test_a_question_about_records_alone_waits_for_no_table_of_contents(
    engine: Engine, billing: Toolset, kind: str, fields: dict[str, Any]
) -> None:
    asked = ask(engine, billing, kind, **fields)
    with engine.begin() as app:
        app.exec_driver_sql(f"LOCK TABLE {CONTENTS}")
        assert mailbox(engine).work_until_done(asked).status == "succeeded"


def test_nor_does_an_export(engine: Engine, billing: Toolset, database_url: str) -> None:
    with engine.begin() as app:
        app.exec_driver_sql(f"LOCK TABLE {CONTENTS}")
        with reading_records(database_url) as connection:
            assert export_bundle(connection, billing.path, 1, REGISTRY)


def test_a_toolset_is_found_while_the_table_of_toolsets_is_rewritten(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing, "verify")
    with migrating(engine, "ALTER TABLE toolsets ADD COLUMN seen double precision DEFAULT random()"):
        assert mailbox(engine).work_until_done(asked).status == "succeeded"


def _told(engine: Engine, request_id: str, names: tuple[str, ...]) -> dict[str, Any]:
    result = mailbox(engine).work_until_done(request_id).result
    assert result is not None
    return {name: result[name] for name in names}
