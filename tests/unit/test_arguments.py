"""An argument stands in each place that it has to stand in: fields, methods of the client, and options of commands.

Whoever adds one finds the places in CONTRIBUTING.md.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from release_worker import ReleaseClient
from release_worker.cli import bundles, comparing, editing, overview, releases, retention, rollbacks, staging, verifying
from release_worker.cli.main import run
from release_worker.client.bulk_requests import ReleaseOptions
from release_worker.client.drafting import Draft, DraftingClient
from release_worker.domain.editing.edits import OrganizationEdit, ProjectEdit, ToolsetEdit
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.errors import InvalidRequest
from release_worker.testing import FakeReleaseClient
from tests.support.kinds import VALID

TOOLSET = "acme/payments/billing"
EDITS: Mapping[str, type[BaseModel]] = {
    "toolset": ToolsetEdit,
    "project": ProjectEdit,
    "organization": OrganizationEdit,
}
OWNERS = {"toolset": TOOLSET, "project": "acme/payments", "organization": "acme"}
every_edit = pytest.mark.parametrize("what", EDITS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def parameters(function: Callable[..., Any]) -> set[str]:
    return {*inspect.signature(function).parameters}


def wrong_fields(error: InvalidRequest) -> set[str]:
    return {str(problem["field"]).partition(".")[0] for problem in error.details["problems"]}


@dataclass(frozen=True)
class Command:
    """A command of a kind of request."""

    function: Callable[..., None]
    means: Mapping[str, str] = field(default_factory=dict)  # fields by options that are not named as they are
    without: frozenset[str] = frozenset({"idempotency_key"})  # fields that have no option


ALL: frozenset[str] = frozenset()
READS = frozenset({"idempotency_key", "actor"})
TARGETS = {"number": "release_number", "previous": "to", "undo": "to", "last_good": "to", "plan": "dry_run"}
COMMANDS = {
    "create_release": Command(releases.release, {"label": "labels"}, ALL),
    "rollback": Command(rollbacks.rollback, {**TARGETS, "component": "components"}, ALL),
    "apply_plan": Command(rollbacks.rollback, {"apply": "plan_id"}, ALL),
    "repair": Command(rollbacks.repair, {"component": "components"}, ALL),
    "check_drift": Command(comparing.drift),
    "diff": Command(comparing.diff, {"number": "release_number", "component": "components"}, READS),
    "verify": Command(verifying.verify, without=READS),
    "status": Command(overview.status, without=READS),
    "pin": Command(retention.pin, {"number": "release_number"}, frozenset({"idempotency_key", "pinned"})),  # or `unpin`
    "prune": Command(retention.prune),
    "mark": Command(retention.mark, {"number": "release_number", "judgement": "mark"}),
    "stage": Command(staging.create),
    "publish": Command(staging.publish, {"label": "labels"}, ALL),
    "discard": Command(staging.discard),
    "set_mode": Command(staging.mode),
    "import_bundle": Command(bundles.import_release, {"into": "toolset", "file": "bundle", "label": "labels"}, ALL),
}


@every_kind
def test_a_command_has_an_option_for_each_field_of_its_request(kind: str) -> None:
    assert kind in COMMANDS, "a line in COMMANDS"
    command = COMMANDS[kind]
    taken = {command.means.get(name, name) for name in parameters(command.function)}
    missing = KINDS[kind].model_fields.keys() - taken
    assert missing == command.without, f"an option of {command.function.__name__}, or an exception in COMMANDS"


# (to import a bundle takes a database before anything is checked; `make check` finds an argument that is not used)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"import_bundle"}))
def test_a_method_of_the_client_hands_each_argument_on(kind: str) -> None:
    method = getattr(ReleaseClient, kind)
    given = {"toolset": TOOLSET, "actor": "ci", **VALID[kind]}
    odd = {"labels": {"a": object()}, "components": [object()]}
    for name in parameters(method) & KINDS[kind].model_fields.keys():
        with pytest.raises(InvalidRequest) as raised:
            method(FakeReleaseClient(), **{**given, name: odd.get(name, object())})
        assert name in wrong_fields(raised.value), f"{name}: `fields` in {method.__module__}"


@pytest.mark.parametrize("kind", [name for name in KINDS if "session" in parameters(getattr(ReleaseClient, name))])
def test_what_takes_a_session_can_be_drafted_for_a_connection_that_only_a_coroutine_can_use(kind: str) -> None:
    draft = getattr(ReleaseClient, kind)(DraftingClient(), TOOLSET, actor="ci", **VALID[kind])
    assert isinstance(draft, Draft)
    assert draft.request == validate_request(kind, {"toolset": TOOLSET, "actor": "ci", **VALID[kind]})
    assert getattr(DraftingClient, kind) is getattr(ReleaseClient, kind)


def test_many_releases_take_each_argument_of_one() -> None:
    assert {*ReleaseOptions.__annotations__} == parameters(ReleaseClient.create_release) - {
        "self",
        "toolset",
        "session",
    }


def test_the_release_of_all_takes_each_argument_that_can_be_meant_for_all() -> None:
    of_all = parameters(ReleaseClient.release_all) - {"self", "project"}
    assert {*releases._OF_ALL} == of_all, "_OF_ALL of cli/releases.py"
    # What is left can be meant for one toolset only. Whoever adds an argument decides, and says so here.
    assert {*ReleaseOptions.__annotations__} - of_all == {"only_if_changed", "expected_current_release"}


@pytest.mark.parametrize("asked", [["--project", "acme/payments"], ["--organization", "acme"]], ids=str)
def test_an_option_that_only_one_toolset_can_mean_is_refused_for_all(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["release", *asked, "--actor", "ci", "--expected-current-release", "3"]) == 2
    assert "--expected-current-release needs a TOOLSET" in capsys.readouterr().err


@every_edit
def test_a_method_that_edits_takes_each_field_of_its_edit(what: str) -> None:
    method = getattr(ReleaseClient, f"edit_{what}")
    assert parameters(method) - {"self", what, "organization", "session"} == EDITS[what].model_fields.keys()


@every_edit
def test_a_method_that_edits_hands_each_field_on(what: str) -> None:
    for name in EDITS[what].model_fields:
        with pytest.raises(InvalidRequest) as raised:
            getattr(FakeReleaseClient(), f"edit_{what}")(OWNERS[what], **{name: object()})
        assert name in wrong_fields(raised.value), f"{name}: `asked` in client/toolset_edits.py"


@every_edit
def test_a_command_that_edits_has_an_option_for_each_field(what: str) -> None:
    taken = {{"order": "tool_order"}.get(name, name) for name in parameters(getattr(editing, f"edit_{what}"))}
    # `prompts` is a file for `set_prompts`
    assert taken - {what, "organization", "as_json", "prompts"} == EDITS[what].model_fields.keys()


class Heard(Exception):
    """What a command has asked of its client."""


class Hearing:
    """A client that tells what it was asked."""

    def __getattr__(self, _name: str) -> Any:
        def ask(*_: object, **arguments: object) -> None:
            raise Heard(arguments)

        return ask


@every_edit
def test_a_command_that_edits_hands_each_field_on(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def hearing() -> Any:
        yield Hearing()

    monkeypatch.setattr(editing, "database_client", hearing)
    with pytest.raises(Heard) as heard:
        getattr(editing, f"edit_{what}")(OWNERS[what])
    assert heard.value.args[0].keys() - {"organization"} == EDITS[what].model_fields.keys()
