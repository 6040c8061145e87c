"""What a worker says of a message whose row is not where it looks."""

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from release_worker.errors import RequestNotFound
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset


def test_a_message_whose_row_is_in_another_ledger_is_warned_of_in_one_line(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    message = Message("elsewhere", (), {"toolset": billing.path, "actor": "alice"}, in_ledger=True)
    with capture_logs() as lines, pytest.raises(RequestNotFound):
        Inbox(engine).accept("create_release", message)
    [line] = lines
    assert (line["log_level"], line["event"]) == ("warning", "request_not_in_ledger")
    assert line["request_id"] == "elsewhere"
    assert "RELEASE_WORKER_SCHEMA" in line["reason"]
