"""When there are traces, and what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.broker.publishing import message_again, message_of
from release_worker.broker.routing import TRACEPARENT, envelope
from release_worker.tracing.choosing import tracing_of_caller, tracing_of_worker
from release_worker.tracing.statements import summary
from release_worker.tracing.tracing import NoTracing, trace_id_of, traceparent_in
from release_worker.tracing.variables import OpenTelemetryVariables
from tests.unit.test_requests import record

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(
    ("variables", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "releases"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
    ],
)
def test_opentelemetrys_own_variables_say_whether_there_are_traces(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], exporter: str | None
) -> None:
    for name in ("SERVICE_NAME", "TRACES_EXPORTER", "SDK_DISABLED", "EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert OpenTelemetryVariables().exporter == exporter


def test_a_worker_works_without_an_exporter_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nobody_has_this")
    assert isinstance(tracing_of_worker(), NoTracing)


def test_a_caller_that_traces_nothing_is_not_traced() -> None:
    assert isinstance(tracing_of_caller(), NoTracing)
    with tracing_of_caller().span("ask create_release", role="producer", kind="create_release"):
        assert tracing_of_caller().traceparent() is None


def test_the_message_of_a_request_carries_its_trace_also_when_it_is_sent_again() -> None:
    traced = record(traceparent=TRACE)
    for message in (message_of(traced), message_again(traced), envelope("pin", "request-1", {}, None, TRACE)):
        assert message["headers"][TRACEPARENT] == TRACE
    assert TRACEPARENT not in message_again(record())["headers"]


@given(st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text()))
def test_what_cannot_be_a_traceparent_is_none(value: object) -> None:
    assert traceparent_in(value) is None


def test_a_traceparent_names_its_trace() -> None:
    assert traceparent_in(TRACE) == TRACE
    assert trace_id_of(TRACE) == "a" * 32
    assert trace_id_of(None) is None


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("\n  WITH named AS (SELECT 1)\n  INSERT  INTO release_requests (id) SELECT 1", "INSERT INTO release_requests"),
        ("WITH head AS (SELECT id) UPDATE release_requests AS request SET a = 1", "UPDATE release_requests"),
        ("SELECT id FROM release_requests FOR UPDATE SKIP LOCKED", "SELECT"),
        ("SELECT id FROM release_requests FOR NO KEY\n UPDATE NOWAIT", "SELECT"),
        ("WITH a AS (SELECT 1 FOR UPDATE SKIP LOCKED) DELETE FROM a.b USING c", "DELETE FROM b"),
        ('UPDATE "Rel eases".release_requests SET a = 1', "UPDATE release_requests"),
        ("\n SELECT public.release_worker_accept(%(id)s)", "SELECT release_worker_accept"),
        ("SELECT a, public.release_worker_digest(b) FROM c", "SELECT"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL x", "BEGIN"),
        ("", "statement"),
    ],
)
def test_a_statement_is_named_for_what_it_does(statement: str, words: str) -> None:
    assert summary(statement) == words
