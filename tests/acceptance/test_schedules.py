"""Schedules with a real worker and two real beats, and as people steer them."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import CELERY, PythonProcess
from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine, settings
from tests.support.ledger import ledger
from tests.support.records import releases_of
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, running_worker, service
from tests.support.world import Toolset


@contextmanager
def two_beats(served: Service) -> Iterator[None]:
    with ExitStack() as stack:
        for name in ("one", "two"):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="beat-"))
            command = [*CELERY, "beat", "--schedule", f"{directory}/schedule", "--pidfile="]
            stack.enter_context(PythonProcess(f"beat-{name}", command, ROOT, served.environment, Path(directory)))
        yield


def test_a_schedule_of_every_second_and_one_instant_are_fired_once_each_by_two_beats(servers: Servers) -> None:
    with service(servers, broker_database=11) as served, served.client() as client:
        billing, other = a_full_toolset(served.engine), a_full_toolset(served.engine, organization="globex")
        each_second = client.add_schedule("each-second", toolset=billing.path, cron="* * * * * *", actor="ops")
        soon = datetime.now(UTC) + timedelta(seconds=1)
        once = client.add_schedule("once", organization="globex", at=soon, actor="ops")
        with running_worker(served, "--hostname", "scheduled@%h", "--concurrency", "2"), two_beats(served):

            def finished(prefix: str) -> list[str]:
                return [
                    asked.idempotency_key
                    for asked in ledger(served.engine)
                    if asked.idempotency_key.startswith(prefix) and asked.status == "succeeded"
                ]

            assert eventually(lambda: len(finished(each_second.keys)) >= 3, within=LONG)
            assert eventually(lambda: finished(once.keys) == [once.key(soon)], within=LONG)
        keys = [asked.idempotency_key for asked in ledger(served.engine)]
        assert len(keys) == len(set(keys))
        assert [key for key in keys if key.startswith(once.keys)] == [once.key(soon)]
        assert [made.released_by for made in releases_of(served.engine, billing)] == ["schedule each-second"]
        assert [made.released_by for made in releases_of(served.engine, other)] == ["schedule once"]
        assert not client.schedule("once").enabled


@pytest.fixture
def scheduled(run: CommandLine, billing: Toolset) -> str:
    """The organization of a schedule `nightly`."""
    added = run("schedule", "add", "nightly", "--toolset", billing.path, "--cron", "30 2 * * *",
                "--timezone", "Europe/Berlin", "--notes", "each night", "--actor", "ops")  # fmt: skip
    assert added.status == 0, added.err
    return billing.project.organization.slug


def test_a_schedule_is_shown_in_words_and_in_its_own_zone(run: CommandLine, billing: Toolset, scheduled: str) -> None:
    shown = run("schedule", "show", "nightly", "--organization", scheduled)
    for words in (
        f"nightly of {scheduled}",
        f"toolset {billing.path}",
        "create_release",
        "each night",
        "30 2 * * * in Europe/Berlin",
        "At 02:30 every day",
        "active",
        "once, for 3,600 s",
        "ops",
    ):
        assert words in shown.out
    document = run("schedule", "show", "nightly", "--organization", scheduled, "--json").document
    assert (document["name"], document["scope"], document["target"]) == ("nightly", "toolset", billing.path)
    assert document["arguments"] == {"notes": "each night", "only_if_changed": True}
    assert len(document["next_fires"]) == 3
    assert all(fire[19:] in ("+01:00", "+02:00") for fire in document["next_fires"])
    listed = run("schedule", "list", "--organization", scheduled)
    assert "nightly" in listed.out
    assert document["next_fires"][0][:10] in listed.out
    assert run("schedule", "list", "--organization", scheduled, "--json").document == [document]


def test_a_schedule_is_paused_resumed_and_removed(run: CommandLine, scheduled: str) -> None:
    def state() -> str:
        return run("schedule", "show", "nightly", "--organization", scheduled).out

    of = ("nightly", "--organization", scheduled)
    assert "is paused. Resume it: " in run("schedule", "pause", *of).out
    assert "paused" in state()
    assert run("schedule", "list", "--organization", scheduled, "--json").document[0]["next_fires"] == []
    assert "active" in run("schedule", "resume", *of).out
    assert "is removed" in run("schedule", "remove", *of).out
    gone = run("schedule", "show", *of)
    assert gone.status == 1
    assert gone.err.startswith("error: there is no schedule nightly\n")
    assert gone.err.endswith("release-worker schedule list\n")
    assert run("schedule", "list", "--organization", scheduled).out == "There are no schedules.\n"


def test_a_schedule_is_run_now_and_a_worker_does_it(
    served: Service, run: CommandLine, billing: Toolset, scheduled: str
) -> None:
    made = run("schedule", "run-now", "nightly", "--organization", scheduled, "--json").document["requests"]
    assert [one["toolset"] for one in made] == [billing.path]

    def status() -> str:
        return str(run("requests", "show", made[0]["request_id"], "--json").document["status"])

    assert eventually(lambda: status() == "succeeded", within=LONG)
    assert [one.notes for one in releases_of(served.engine, billing)] == ["each night"]
    assert "1 request accepted." in run("schedule", "run-now", "nightly", "--organization", scheduled).out


def test_the_options_of_a_request_are_checked_when_the_schedule_is_added(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    at = ("--toolset", billing.path, "--at", "2999-01-01T02:00")
    back = run("schedule", "add", "back", *at, "--kind", "rollback", "--release-number", 1, "--json").document
    assert (back["kind"], back["arguments"], back["fire_at"]) == (
        "rollback",
        {"release_number": 1},
        "2999-01-01T02:00:00+00:00",
    )
    for options, status, words in (
        (("--kind", "rollback", "--release-number", 9), 1, "has no release 9"),
        (("--kind", "rollback"), 2, "release_number"),
        (("--kind", "verify", "--keep", 3), 2, "keep"),
        (("--kind", "dance"), 2, "a schedule can ask for"),
        (("--timezone", "Mars"), 2, "no IANA time zone"),
        (("--cron", "* * * * *"), 2, "either a cron expression"),
    ):
        refused = run("schedule", "add", "other", *at, *options)
        assert (refused.status, refused.out) == (status, "")
        assert words in refused.err
    again = run("schedule", "add", "back", *at)
    assert (again.status, again.err) == (
        1,
        f"error: organization {billing.project.organization.slug} has a schedule back already\n",
    )


def test_a_name_that_two_organizations_have_needs_to_be_said_whose(
    served: Service, run: CommandLine, billing: Toolset, scheduled: str
) -> None:
    other = a_full_toolset(served.engine, organization=f"{scheduled}-too")
    assert run("schedule", "add", "nightly", "--toolset", other.path, "--cron", "0 0 * * *").status == 0
    refused = run("schedule", "pause", "nightly")
    assert refused.status == 2
    assert "say which" in refused.err
    assert scheduled in refused.err


def test_a_suspended_schedule_says_why(served: Service, run: CommandLine, scheduled: str) -> None:
    with served.engine.begin() as connection:
        connection.execute(
            text("UPDATE release_schedules SET suspended_reason = 'the moon' WHERE name = 'nightly'"), {}
        )
    shown = run("schedule", "show", "nightly", "--organization", scheduled)
    assert "suspended" in shown.out
    assert "the moon" in shown.out


def test_a_schedule_can_be_added_without_a_broker_that_answers(nobody_works: CommandLine, billing: Toolset) -> None:
    unreachable = CommandLine({**nobody_works.environment, **settings(broker_url="redis://127.0.0.1:1/0")})
    added = unreachable("schedule", "add", "quiet", "--toolset", billing.path, "--cron", "0 0 * * *")
    assert added.status == 0, added.err
