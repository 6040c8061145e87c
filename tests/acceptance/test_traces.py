"""One trace from the caller's span to each SQL statement in the worker, and nothing in it that is nobody's business."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from release_worker.domain.requests.kinds import validate_request
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import ReleaseNotFound
from release_worker.store.accepting import accept_request
from release_worker.store.engine import ledger_transaction
from tests.support.billing import a_full_toolset
from tests.support.collector import Collector, Span, collecting
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, running_worker, service
from tests.support.world import Toolset

SECRET = "hunter2-is-secret"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def traced(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=9) as made:
        yield made


@pytest.fixture(scope="module")
def environment(collector: Collector) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture(scope="module")
def traced_worker(traced: Service, environment: dict[str, str]) -> Iterator[PythonProcess]:
    with running_worker(traced, "--hostname", "traced@%h", "--concurrency", "1", more=environment) as started:
        yield started


@pytest.fixture
def shop(traced: Service, traced_worker: PythonProcess) -> Toolset:
    assert traced_worker.status is None
    made = a_full_toolset(traced.engine, organization=f"org-{uuid4().hex[:12]}")
    made.edit(settings={"password": SECRET})
    return made


def ask(traced: Service, shop: Toolset, *, more: dict[str, str]) -> str:
    """The id of the trace of an app that asks for a release, and waits for it."""
    command = [sys.executable, "-m", "tests.support.traced_caller", shop.path, SECRET]
    environment = {**traced.environment, **more}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_trace_leads_from_the_callers_span_to_the_statements_of_the_worker(
    traced: Service, traced_worker: PythonProcess, shop: Toolset, collector: Collector, environment: dict[str, str]
) -> None:
    trace_id = ask(traced, shop, more=environment)
    with traced.engine.connect() as connection:
        [request_id] = connection.execute(
            text("SELECT id FROM release_requests WHERE toolset_id = :id"), {"id": shop.id}
        ).scalars()
    work = collector.span("work create_release", request_id=request_id)
    attempt = collector.span("attempt create_release", request_id=request_id)
    asked, deploy = collector.span("ask create_release", request_id=request_id), collector.span("deploy")
    assert [deploy.parent, asked.parent, work.parent, attempt.parent] == ["", deploy.id, asked.id, work.id]
    assert {deploy.service, asked.service} == {"an-app"}
    assert {work.service, attempt.service} == {"release-worker"}
    assert "SELECT release_worker_accept" in collector.below(asked)
    assert {"lock", "claim"} <= set(collector.below(work))

    steps = collector.below(attempt)
    assert {"hold", "capture", "succeed"} <= set(steps)
    assert _statements(collector, steps["capture"])
    assert "UPDATE release_requests" in _statements(collector, steps["succeed"])
    ours = [one for one in collector.spans if one.trace_id == trace_id]
    assert {one.name for one in ours} >= {"deploy", "hold", "capture", "UPDATE release_requests"}
    assert {one.parent for one in ours} <= {one.id for one in ours} | {""}, "each span has its parent in the trace"
    assert attempt.attributes == {
        "release_worker.request_id": request_id,
        "release_worker.kind": "create_release",
        "release_worker.toolset_id": str(shop.id),
        "release_worker.attempt": 1,
        "release_worker.outcome": "succeeded",
    }
    assert SECRET.encode() not in collector.received

    lines = [json.loads(line) for line in traced_worker.said().splitlines() if request_id in line]
    about = [line for line in lines if line["event"] in ("request_started", "request_succeeded")]
    assert [line["trace_id"] for line in about] == [trace_id, trace_id]


def _statements(collector: Collector, span: Span) -> set[str]:
    return {one.name for one in collector.below(span).values() if "db.query.text" in one.attributes}


def test_without_a_database_the_message_carries_the_trace(
    traced: Service, shop: Toolset, collector: Collector, environment: dict[str, str]
) -> None:
    trace_id = ask(traced, shop, more={**environment, "RELEASE_WORKER_DATABASE_URL": ""})
    attempt = collector.span("attempt create_release", toolset_id=str(shop.id))
    assert attempt.trace_id == trace_id
    work = next(one for one in collector.spans if one.id == attempt.parent)
    assert "accept" in collector.below(work)


def test_a_request_that_another_task_carries_out_stays_in_its_own_trace(
    traced: Service, shop: Toolset, collector: Collector
) -> None:
    """Its message was lost: the next request of its toolset finds it first."""
    trace_id, request_id = uuid4().hex, str(uuid4())
    lost = validate_request("create_release", {"toolset": shop.path, "actor": "ci"})
    with ledger_transaction(traced.engine) as connection:
        accept_request(connection, lost, request_id=request_id, traceparent=f"00-{trace_id}-{'1' * 16}-01")
    with traced.client() as client:
        next_one = client.check_drift(shop.path)
        next_one.result(LONG)
    attempt = collector.span("attempt create_release", request_id=request_id)
    own = collector.span("attempt check_drift", request_id=next_one.id)
    assert (attempt.trace_id, attempt.parent) == (trace_id, "1" * 16)
    assert attempt.links == (own.trace_id,)
    assert own.trace_id != trace_id


def test_a_refusal_is_seen_in_the_trace_by_its_class(traced: Service, shop: Toolset, collector: Collector) -> None:
    with traced.client() as client:
        refused = client.rollback(shop.path, 41, actor="oncall", reason=SECRET)
        with pytest.raises(ReleaseNotFound):
            refused.result(LONG)
    attempt = collector.span("attempt rollback", request_id=refused.id)
    assert attempt.failed
    assert attempt.attributes["release_worker.outcome"] == "failed"
    assert attempt.attributes["release_worker.error"] == "ReleaseNotFound"
    assert SECRET.encode() not in collector.received


def test_without_otel_variables_a_worker_has_nothing_to_do_with_traces(tmp_path: Path, traced: Service) -> None:
    program = (
        "import sys\n"
        "from release_worker import ReleaseClient\n"
        "from release_worker.worker.app import app\n"
        "from release_worker.worker.runtime import runtime_of\n"
        "runtime_of(app).close()\n"
        "parts = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'release_worker.tracing.spans')\n"
        "print([name for name in sys.modules if name.startswith(parts)])"  # redis-py imports other parts
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=traced.environment, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
