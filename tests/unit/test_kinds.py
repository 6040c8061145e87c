"""A kind of request is a file in `domain/requests`; whatever else belongs to it is derived, or named here if it is not
there."""

import inspect
import pkgutil
from importlib import import_module
from typing import get_type_hints

import pytest

from release_worker import ReleaseClient
from release_worker.broker.routing import QUEUE_NAMES, TASKS
from release_worker.domain import requests
from release_worker.domain.requests.kinds import KINDS, describe_kind, validate_request
from release_worker.domain.requests.request import Request
from release_worker.operations.performing import OPERATIONS
from release_worker.queries.log import READING
from tests.support.kinds import VALID
from tests.support.released_fields import released_fields
from tests.support.repository import ROOT

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def test_every_class_of_requests_is_a_known_kind() -> None:
    names = [module.name for module in pkgutil.iter_modules(requests.__path__)]
    modules = [import_module(f"{requests.__name__}.{name}") for name in names]
    classes = {found for module in modules for _, found in inspect.getmembers(module, inspect.isclass)}
    assert {one for one in classes if issubclass(one, Request) and one is not Request} == set(KINDS.values())


@every_kind
def test_a_kind_stands_in_the_file_of_its_name(kind: type[Request]) -> None:
    assert kind.__module__ == f"release_worker.domain.requests.{kind.kind}"
    assert kind.result.__module__ == kind.__module__


@every_kind
def test_a_kind_has_an_operation_that_returns_its_result(kind: type[Request]) -> None:
    assert kind.kind in OPERATIONS, f"operations/performing.py does not say what carries out {kind.kind}"
    assert get_type_hints(OPERATIONS[kind.kind])["return"] is kind.result


def test_no_operation_is_for_a_kind_that_is_not_there() -> None:
    assert OPERATIONS.keys() == KINDS.keys()


@every_kind
def test_a_kind_has_a_task_and_a_queue(kind: type[Request]) -> None:
    assert TASKS[kind.kind] == f"release_worker.{kind.kind}"
    assert kind.queue in QUEUE_NAMES


@every_kind
def test_a_kind_has_a_method_of_the_client_that_takes_its_fields(kind: type[Request]) -> None:
    method = getattr(ReleaseClient, kind.kind, None)
    assert method is not None, f"client/release_requests.py, or a file beside it, has no method {kind.kind}"
    parameters = inspect.signature(method).parameters.keys() - {"self", "session"}
    unknown, missing = parameters - kind.model_fields.keys(), kind.model_fields.keys() - parameters
    where = f"{method.__module__}: the method {kind.kind}"
    assert not unknown, f"{where} takes {sorted(unknown)}, which the request has no field for"
    assert missing <= {"idempotency_key"}, f"{where} does not take {sorted(missing)}, which the request has fields for"


@every_kind
def test_a_field_that_came_after_the_last_release_is_later(kind: type[Request]) -> None:
    released = {*released_fields().get(kind.kind, kind.model_fields)}
    gone = released - kind.model_fields.keys()
    assert not gone, f"{kind.kind} has lost {sorted(gone)}: callers of the last release still name it"
    forgotten = kind.model_fields.keys() - released - {*kind.later}
    assert not forgotten, (
        f"add {sorted(forgotten)} to `later` of {kind.__name__}: workers of the last release refuse a request with a "
        "field that they do not know"
    )


@every_kind
def test_a_later_field_has_a_default_and_is_not_positional(kind: type[Request]) -> None:
    for name in kind.later:
        assert not kind.model_fields[name].is_required(), name
        assert name not in kind.positional, f"{name}: callers that name nothing were there before it"


@every_kind
def test_positional_arguments_are_fields_and_begin_with_the_toolset(kind: type[Request]) -> None:
    assert set(kind.positional) <= kind.model_fields.keys()
    assert kind.positional[0] == "toolset"


@every_kind
def test_a_kind_is_described_for_who_looks_at_its_task(kind: type[Request]) -> None:
    described = describe_kind(kind.kind)
    assert kind.__doc__
    assert described.startswith(kind.__doc__.partition("\n")[0])
    assert f"    {kind.kind}(toolset" in described
    for name in kind.result.names().values():
        assert name in described
    assert max(map(len, described.splitlines())) <= 120


def test_the_tests_know_valid_fields_of_every_kind() -> None:
    assert VALID.keys() == KINDS.keys(), "tests/support/kinds.py"
    for kind, fields in VALID.items():
        validate_request(kind, {"toolset": "acme/payments/billing", "actor": "x", **fields})


@every_kind
def test_a_field_that_names_a_release_keeps_it_from_being_pruned(kind: type[Request]) -> None:
    named = {name for name in kind.model_fields if "release" in name}
    assert named <= set(kind.names_releases) <= kind.model_fields.keys()


@every_kind
def test_readme_says_what_a_task_does(kind: type[Request]) -> None:
    assert f"`release_worker.{kind.kind}`" in (ROOT / "README.md").read_text()


def test_the_log_knows_the_kinds_that_only_read() -> None:
    reading = {name for name, kind in KINDS.items() if "only_reads" in vars(kind)}
    assert reading - {"rollback"} == set(READING)  # of rollbacks, only a plan does


def test_a_description_shows_defaults_and_results() -> None:
    assert describe_kind("pin") == (
        "Keep a release from being pruned, or (`pinned` false) no longer.\n\n"
        "    pin(toolset, release_number, actor, pinned=True)\n\n"
        "Returns `{toolset_id, release_number, pinned}`.\n"
    )
