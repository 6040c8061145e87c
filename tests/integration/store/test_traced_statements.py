"""A statement's span has its text, and neither values nor what PostgreSQL says of them."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine, exc, text

from release_worker.tracing.statements import LONGEST_TEXT, watch_statements

SECRET = "hunter2-is-secret"
INSERT = text("INSERT INTO organizations (id, slug, name) VALUES (gen_random_uuid(), :slug, :slug)")


@pytest.fixture
def exported(engine: Engine) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    watch_statements(engine, tracer)
    with engine.begin() as connection:
        connection.execute(INSERT, {"slug": SECRET})  # outside of a span
    with tracer.start_as_current_span("around"), engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT 1 {'/* long */' * 1000}")
        with pytest.raises(exc.IntegrityError, match=SECRET):
            connection.execute(INSERT, {"slug": SECRET})
    return exporter


def test_a_statement_that_fails_says_how_and_not_with_which_values(exported: InMemorySpanExporter) -> None:
    select, insert, around = exported.get_finished_spans()
    assert around.name == "around"
    assert insert.name == "INSERT INTO organizations"
    assert insert.parent == select.parent == around.get_span_context()
    assert insert.attributes is not None
    assert "VALUES (gen_random_uuid(), %(slug)s" in str(insert.attributes["db.query.text"])
    assert insert.attributes["error.type"] == "UniqueViolation"
    assert insert.attributes["db.response.status_code"] == "23505"
    assert not select.status.description
    assert not insert.status.description
    assert SECRET not in insert.to_json() + select.to_json()
    assert select.attributes is not None
    assert len(str(select.attributes["db.query.text"])) == LONGEST_TEXT
