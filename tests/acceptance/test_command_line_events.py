"""`events`: subscribe, list, pause, resume, remove, redeliver and log, as a person and a script use them."""

import json
import subprocess
from uuid import uuid4

import pytest

from release_worker.domain.signing import SigningSecret
from tests.support.command_line import PROGRAM, CommandLine
from tests.support.ledger import ask, mailbox
from tests.support.operations import ACTOR
from tests.support.workers import Service
from tests.support.world import Toolset

URL = "https://hooks.example.com/releases?token=hunter2"


@pytest.fixture
def owner(billing: Toolset) -> str:
    """The organization of this test alone."""
    return billing.path.partition("/")[0]


def only_of(run: CommandLine, owner: str) -> dict[str, object]:
    [one] = run("events", "list", "--organization", owner, "--json").document
    return dict(one)


def test_a_subscription_is_made_with_a_secret_that_is_shown_once(run: CommandLine, owner: str) -> None:
    made = run("events", "subscribe", URL, "--organization", owner, "--type", "request.failed", "--json").document
    secret = SigningSecret.parse(made["secret"])
    listed = only_of(run, owner)
    assert listed["subscription_id"] == made["subscription_id"]
    assert listed["receiver"] == "https://hooks.example.com/releases?…"
    assert listed["types"] == ["request.failed"]
    assert listed["secret_fingerprint"] == secret.fingerprint
    for shown in (run("events", "list").out, run("events", "list", "--json").out):
        assert "hunter2" not in shown
        assert made["secret"].removeprefix("whsec_") not in shown


def test_a_secret_that_is_given_is_not_printed_and_may_come_from_standard_input(run: CommandLine, owner: str) -> None:
    secret = SigningSecret.generate()
    made = run("events", "subscribe", URL, "--organization", owner, "--secret", secret.text)
    assert made.status == 0
    assert secret.text not in made.out
    assert only_of(run, owner)["secret_fingerprint"] == secret.fingerprint
    run("events", "remove", str(only_of(run, owner)["subscription_id"]))
    command = [str(PROGRAM), "events", "subscribe", URL, "--organization", owner, "--secret", "-"]
    ended = subprocess.run(command, input=f"{secret.text}\n", text=True, capture_output=True, env=run.variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert only_of(run, owner)["secret_fingerprint"] == secret.fingerprint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["https://user:password@example.com/"], "no user, no password"),
        (["http://example.com/"], "RELEASE_WORKER_WEBHOOKS_HTTP"),
        (["https://127.0.0.1/"], "RELEASE_WORKER_WEBHOOKS_PRIVATE"),
        (["https://example.com/", "--secret", "hunter2hunter2"], "must be whsec_"),
        (["https://example.com/", "--type", "release.deleted"], "types"),
        (["https://example.com/", "--task", "a"], "either URL or --task"),
        (["--task", "a"], "queue"),
        ([], "either URL or --task"),
    ],
)
def test_what_cannot_be_subscribed_is_refused_in_one_line(
    nobody_works: CommandLine, arguments: list[str], said: str
) -> None:
    ended = nobody_works("events", "subscribe", *arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert said in ended.err
    assert "hunter2hunter2" not in ended.err
    assert "Traceback" not in ended.err


def test_an_owner_that_is_not_there_is_named(nobody_works: CommandLine) -> None:
    ended = nobody_works("events", "subscribe", URL, "--organization", "nobody-here")
    assert (ended.status, "there is no organization nobody-here" in ended.err) == (1, True)


def test_a_subscription_is_paused_resumed_and_removed(run: CommandLine, owner: str) -> None:
    run("events", "subscribe", "--task", "app.told", "--queue", "theirs", "--organization", owner)
    one = str(only_of(run, owner)["subscription_id"])
    assert run("events", "pause", one, "--actor", "ann").status == 0
    assert "off: paused by ann" in run("events", "list", "--organization", owner).out
    assert run("events", "redeliver", "--dead", "--to", one).status == 2
    assert run("events", "resume", one, "--json").document == {"subscription_id": one}
    assert only_of(run, owner)["enabled"] is True
    assert run("events", "remove", one).status == 0
    assert run("events", "list", "--organization", owner, "--json").document == []
    gone = run("events", "remove", one, "--json")
    assert gone.status == 1
    assert json.loads(gone.err)["type"] == "SubscriptionNotFound"


def test_the_log_shows_what_happened_and_an_event_is_delivered_once_more(
    served: Service, run: CommandLine, billing: Toolset, owner: str
) -> None:
    for kind, fields in (("create_release", {}), ("rollback", {"release_number": 9})):
        mailbox(served.engine).work_until_done(ask(served.engine, billing, kind, **fields))
    failed, released = run("events", "log", "--toolset", billing.path, "--json").document
    assert (failed["type"], released["type"]) == ("request.failed", "release.created")
    assert released["data"]["release_number"] == 1
    wide = CommandLine(run.environment, columns=200)
    table = wide("events", "log", "--organization", owner).out
    assert f"{billing.path} release 1 by {ACTOR}" in table
    assert "ReleaseNotFound" in table
    narrow = CommandLine(run.environment, columns=80)("events", "log", "--organization", owner)
    assert narrow.widest <= 80
    assert released["id"] in narrow.out
    assert "ReleaseNotFound" not in run("events", "log", "--organization", owner, "--type", "release.created").out
    before = run("events", "log", "--organization", owner, "--before", failed["seq"], "--json").document
    assert [event["id"] for event in before] == [released["id"]]
    run("events", "subscribe", URL, "--organization", owner)
    assert run("events", "redeliver", released["id"], "--organization", owner, "--json").document == {"deliveries": 1}
    assert only_of(run, owner)["pending"] == 1
    missing = run("events", "redeliver", str(uuid4()))
    assert (missing.status, "there is no event" in missing.err) == (1, True)


def test_every_events_command_says_that_there_is_nothing(nobody_works: CommandLine) -> None:
    assert nobody_works("events", "list", "--organization", "nobody").out == "There are no subscriptions.\n"
    assert nobody_works("events", "log", "--organization", "nobody").out == "There are no such events.\n"
