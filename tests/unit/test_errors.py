"""Errors are values: they keep their class, message and fields on every way that they travel."""

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from celery import Celery

from release_worker import errors
from release_worker.errors import PermanentError, ReleaseWorkerError, TransientError, from_record

# Each class with the fields that its docstring names.
FIELDS: dict[type[ReleaseWorkerError], dict[str, Any]] = {
    errors.InvalidRequest: {"problems": [{"field": "actor", "problem": "missing"}]},
    errors.NotConfigured: {"setting": "RELEASE_WORKER_DATABASE_URL"},
    errors.ToolsetNotFound: {"toolset": "acme/payments/billing"},
    errors.OwnerNotFound: {"scope": "project", "name": "acme/payments"},
    errors.NameTaken: {"scope": "project", "name": "acme/payments"},
    errors.ReleaseNotFound: {"toolset": "acme/payments/billing", "release_number": 7},
    errors.RequestNotFound: {"request_id": "r-1"},
    errors.EventNotFound: {"event_id": "e-1"},
    errors.SubscriptionNotFound: {"subscription_id": "s-1"},
    errors.RequestNotQueued: {"request_id": "r-1", "status": "running"},
    errors.RequestCancelled: {"request_id": "r-1", "cancelled_by": "alice", "reason": None},
    errors.ScheduleNotFound: {"schedule": "nightly"},
    errors.ScheduleExists: {"schedule": "nightly", "organization": "acme"},
    errors.ScheduleMissed: {"name": "once", "instant": "2026-03-29T01:00:00+00:00"},
    errors.IdempotencyConflict: {"idempotency_key": "build-1", "request_id": "r-1", "differing": ["notes"]},
    errors.StaleState: {"expected_current_release": 3, "current_release_number": None},
    errors.ReleaseMarkedBad: {
        "toolset": "acme/payments/billing",
        "release_number": 3,
        "marked_by": "x",
        "reason": None,
    },
    errors.Frozen: {
        "id": "0192",
        "scope": "acme/payments",
        "starts_at": "2026-12-24T18:00:00+00:00",
        "ends_at": "2026-12-27T08:00:00+00:00",
        "reason": "year end",
    },
    errors.FreezeNotFound: {"freeze": "0192"},
    errors.MissingDependencies: {"tools": ["tools:a"], "resources": []},
    errors.SharedStateImpact: {"toolsets": [{"id": "1", "path": "a/b/c", "components": ["system"]}]},
    errors.IntegrityMismatch: {"objects": [{"object": "release 1", "stored": "a", "computed": None}]},
    errors.UnsupportedContent: {"reason": "nested too deeply"},
    errors.ComponentFailed: {"component": "flags", "reason": 'column "on" does not exist'},
    errors.WorkerLost: {"attempts": 3},
    errors.UnexpectedFailure: {"reason": "KeyError"},
    errors.LockUnavailable: {"toolset_id": "0192"},
    errors.VersionConflict: {"reason": "deadlock", "sqlstate": "40P01"},
    errors.DatabaseUnavailable: {"reason": "gone", "sqlstate": None},
    errors.OperationTimeout: {},
    errors.BrokerUnavailable: {"reason": "gone"},
    errors.ResultTimeout: {"request_id": "r-1", "timeout": 2.5, "status": "queued", "attempts": 0},
    errors.ResultUnavailable: {"request_id": "r-1", "reason": "the database cannot be used now: gone"},
}

PERMANENT = {
    "InvalidRequest",
    "ToolsetNotFound",
    "ReleaseNotFound",
    "IdempotencyConflict",
    "StaleState",
    "ReleaseMarkedBad",
    "Frozen",
    "MissingDependencies",
    "SharedStateImpact",
    "IntegrityMismatch",
}
TRANSIENT = {"LockUnavailable", "VersionConflict", "BrokerUnavailable"}

every_error = pytest.mark.parametrize(
    "error", [made(**FIELDS[made]) for made in FIELDS], ids=lambda error: type(error).__name__
)


def subclasses(error_class: type[ReleaseWorkerError]) -> set[type[ReleaseWorkerError]]:
    direct = {one for one in error_class.__subclasses__() if one.__module__ == errors.__name__}
    return direct.union(*map(subclasses, direct))


def same(one: BaseException, other: BaseException) -> bool:
    assert isinstance(one, ReleaseWorkerError)
    assert isinstance(other, ReleaseWorkerError)
    return (type(one), str(one), one.details, one.args) == (type(other), str(other), other.details, other.args)


def test_every_error_of_the_contract_is_there_and_permanent_or_transient() -> None:
    for names, base in ((PERMANENT, PermanentError), (TRANSIENT, TransientError)):
        for name in names:
            assert issubclass(getattr(errors, name), base)
    assert not issubclass(PermanentError, TransientError)


def test_every_error_is_known_to_these_tests() -> None:
    assert subclasses(ReleaseWorkerError) == {PermanentError, TransientError, *FIELDS}


def test_every_error_is_in_the_tree_at_the_head_of_the_file() -> None:
    assert errors.__doc__ is not None
    for error in FIELDS:
        assert f"── {error.__name__}\n" in f"{errors.__doc__}\n" or f"── {error.__name__} " in errors.__doc__


@every_error
def test_an_error_is_one_sentence_and_its_fields(error: ReleaseWorkerError) -> None:
    assert error.details == FIELDS[type(error)]
    assert str(error) == error.message
    assert error.message
    assert "\n" not in error.message
    assert "{" not in error.message


@every_error
def test_an_error_comes_back_from_its_record(error: ReleaseWorkerError) -> None:
    record = json.loads(json.dumps(error.as_record()))
    assert record == {"type": type(error).__name__, "message": error.message, "details": error.details}
    assert same(from_record(record), error)


@every_error
def test_an_error_can_be_pickled(error: ReleaseWorkerError) -> None:
    assert same(pickle.loads(pickle.dumps(error)), error)


@every_error
def test_an_error_is_rebuilt_from_its_arguments(error: ReleaseWorkerError) -> None:
    assert same(type(error)(*error.args), error)


@every_error
def test_an_error_comes_back_from_celerys_json_result_backend(error: ReleaseWorkerError) -> None:
    backend = Celery(backend="cache+memory://", set_as_current=False).backend
    stored = json.loads(json.dumps(backend.prepare_exception(error, serializer="json")))
    assert same(backend.exception_to_python(stored), error)


def test_an_error_of_a_class_that_is_unknown_here_keeps_its_message_and_fields() -> None:
    error = from_record({"type": "MadeLater", "message": "something new", "details": {"a": 1}})
    assert (type(error), str(error), error.details) == (ReleaseWorkerError, "something new", {"a": 1})


@pytest.mark.parametrize("details", [None, {}])
def test_a_record_without_details_is_an_error_without_fields(details: object) -> None:
    assert from_record({"type": "VersionConflict", "message": "conflict", "details": details}).details == {}
    assert from_record({"type": "VersionConflict", "message": "conflict"}).details == {}


def test_a_class_outside_the_tree_is_never_built_from_a_record() -> None:
    for name in ("Exception", "SystemExit", "object", "from_record"):
        assert type(from_record({"type": name, "message": "m", "details": {}})) is ReleaseWorkerError


def test_a_message_of_ones_own_stands_in_for_the_default() -> None:
    error = errors.StaleState("my words", expected_current_release=1, current_release_number=2)
    assert str(error) == "my words"
    assert error.details == {"expected_current_release": 1, "current_release_number": 2}


def test_errors_can_be_imported_without_the_workers_dependencies() -> None:
    code = """
import sys
import release_worker.errors
heavy = {"celery", "kombu", "redis", "sqlalchemy", "psycopg", "pydantic", "alembic", "structlog"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
