"""What a worker logs is JSON, a line each, which says what operators ask for, and no values."""

import json
from functools import partial
from typing import Any

import pytest

from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import ReleaseWorkerError
from tests.support.task_events import eventually
from tests.support.workers import LONG, Service
from tests.support.world import Toolset

SECRET = "hunter2-is-secret"


def lines(worker: PythonProcess, text: str) -> list[dict[str, Any]]:
    """The lines with this text in them, as soon as there are any."""
    eventually(lambda: text in worker.said(), text)
    return [json.loads(line) for line in worker.said().splitlines() if text in line]


def test_each_attempt_has_a_line_for_its_beginning_and_one_for_its_outcome(
    served: Service, worker: PythonProcess, billing: Toolset
) -> None:
    billing.edit(settings={"password": SECRET})
    with served.client() as client:
        made = client.create_release(billing.path, actor="ci", notes=SECRET, labels={"api_token": SECRET})
        made.result(LONG)
        billing.edit(settings={"password": f"{SECRET} 2"})
        undone = client.rollback(billing.path, 1, actor="oncall", reason=SECRET)
        undone.result(LONG)
        refused = client.rollback(billing.path, 41, actor="oncall", reason=SECRET)
        with pytest.raises(ReleaseWorkerError):
            refused.result(LONG)
    for request, kind, outcome in (
        (made, "create_release", "request_succeeded"),
        (undone, "rollback", "request_succeeded"),
        (refused, "rollback", "request_failed"),
    ):
        eventually(partial(_ended, worker, request.id, outcome), outcome)
        about = [one for one in lines(worker, request.id) if one["event"].startswith("request_")]
        assert [one["event"] for one in about] == ["request_started", outcome]
        for line in about:
            assert (line["request_id"], line["task_id"]) == (request.id, request.id)
            assert (line["toolset"], line["toolset_id"]) == (billing.path, str(billing.id))
            assert (line["kind"], line["attempt"]) == (kind, 1)
            assert "trace_id" not in line, "nobody traces"
    assert about[-1]["error"] == "ReleaseNotFound"
    assert SECRET not in worker.said()


def _ended(worker: PythonProcess, request_id: str, outcome: str) -> bool:
    return any(request_id in line and outcome in line for line in worker.said().splitlines())


def test_a_message_of_no_task_of_ours_is_named_and_its_arguments_are_not_logged(
    served: Service, worker: PythonProcess
) -> None:
    with served.stranger() as app:
        app.send_task("release_worker.of_tomorrow", kwargs={"labels": {"token": SECRET}}, queue="releases")
    [line] = lines(worker, "of_tomorrow")
    assert line["event"] == "message dropped, this worker knows no such task: 'release_worker.of_tomorrow'"
    assert SECRET not in worker.said()
