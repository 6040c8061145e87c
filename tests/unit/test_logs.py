"""What a worker says at the default level, and how it looks to a person."""

import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import Task
from structlog.testing import capture_logs

from release_worker.broker.routing import CHORES, DELIVER, SWEEP
from release_worker.errors import DatabaseUnavailable
from release_worker.worker import chores
from release_worker.worker.logs import configure_logs, console


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    filters = {name: logging.getLogger(name).filters[:] for name in ("celery.beat", "celery.worker.strategy")}
    yield
    root.handlers, root.level = handlers, level
    for name, before in filters.items():
        logging.getLogger(name).filters[:] = before


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def said_of(name: str) -> list[str]:
    """What Celery logs when beat sends a task and a worker receives it."""
    kept = Kept()
    logging.getLogger().addHandler(kept)
    received: dict[str, Any] = {"name": name, "id": "1"}
    logging.getLogger("celery.beat").info("Scheduler: Sending due task %s (%s)", "one", name)
    logging.getLogger("celery.worker.strategy").info("Task %(name)s[%(id)s] received", received)
    logging.getLogger("celery.beat").error("Message Error: %s", name)
    return kept.said


@pytest.mark.parametrize("name", sorted(CHORES))
def test_that_a_chore_is_sent_and_received_is_no_line_unless_somebody_asks_for_debug(name: str) -> None:
    configure_logs()
    assert said_of(name) == [f"Message Error: {name}"]
    assert len(said_of("release_worker.rollback")) == len(said_of("theirs.nightly")) == 3


def test_at_debug_everything_is_said() -> None:
    configure_logs("DEBUG")
    assert len(said_of(SWEEP)) == 3


def test_a_chore_without_a_database_is_a_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_database(_: object) -> SimpleNamespace:
        raise DatabaseUnavailable(reason="connection refused")

    monkeypatch.setattr(chores, "runtime_of", no_database)

    with capture_logs() as lines:
        chores.deliver(cast(Task, SimpleNamespace(name=DELIVER, app=None)))

    [line] = lines
    assert (line["event"], line["chore"]) == ("chore_not_done", DELIVER)
    assert line["reason"] == "the database cannot be used now: connection refused"
    assert "exc_info" not in line


def test_a_traceback_on_a_terminal_shows_no_value_of_a_variable() -> None:
    password = "hunter2".upper()
    try:
        password.index("?")
    except ValueError:
        shown = console()(None, "error", {"event": "request_broke", "exc_info": sys.exc_info()})

    assert "request_broke" in shown
    assert "ValueError: substring not found" in shown
    assert "HUNTER2" not in shown
