"""Publishing says in one way that the broker is away, whatever kombu and Celery say."""

from typing import Any
from uuid import UUID

import pytest
from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import OperationalError

from release_worker.broker.publishing import publish
from release_worker.broker.routing import BEHIND_OTHERS, Row, envelope
from release_worker.errors import BrokerUnavailable

MESSAGE = envelope("create_release", "request-1", {"toolset": "acme/payments/billing", "actor": "x"}, Row())


class Breaking(Celery):  # type: ignore[misc]  # Celery has no types
    """An app whose broker fails as it is told to, then takes what it is sent."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(set_as_current=False)
        self.failures = list(failures)
        self.taken: list[str] = []

    def send_task(self, name: str, **options: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        assert options["retry"]
        self.taken.append(f"{name} {options['task_id']} {options.get('priority')}")


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("gone\nfor now"),
        OSError("gone for now"),
        RuntimeError("gone for now"),
        AMQPError("gone for now"),
    ],
)
def test_whatever_the_broker_fails_with_it_cannot_be_reached(error: Exception) -> None:
    app = Breaking(error)
    with pytest.raises(BrokerUnavailable, match="gone for now; the request is kept and will be done") as refused:
        publish(app, MESSAGE, kept=True)
    assert refused.value.details == {"reason": "gone for now", "request_id": "request-1"}
    assert refused.value.__cause__ is error
    assert app.taken == []


def test_of_a_request_that_is_not_kept_nothing_says_that_it_is() -> None:
    with pytest.raises(BrokerUnavailable) as refused:
        publish(Breaking(OSError("gone")), MESSAGE, kept=False)
    assert "kept" not in str(refused.value)
    assert refused.value.details["request_id"] is None


def test_a_connection_that_broke_under_the_channel_is_tried_again_once() -> None:
    app = Breaking(AttributeError("'NoneType' object has no attribute '_put'"))
    publish(app, MESSAGE, kept=True)
    assert app.taken == ["release_worker.create_release request-1 None"]
    with pytest.raises(BrokerUnavailable):
        publish(Breaking(AttributeError(), AttributeError()), MESSAGE, kept=True)


@pytest.mark.parametrize(
    ("url", "priority"), [("redis://broker.test/0", BEHIND_OTHERS), ("amqp://broker.test//", None)]
)
def test_a_request_behind_others_goes_last_where_the_broker_counts_priorities_as_redis_does(
    url: str, priority: int | None
) -> None:
    app = Breaking()
    app.conf.broker_write_url = url
    behind = envelope("create_release", "request-1", {}, Row(UUID(int=1), behind_others=True))
    publish(app, behind, kept=True)
    assert app.taken == [f"release_worker.create_release request-1 {priority}"]


def test_a_defect_is_no_broker_that_is_away() -> None:
    with pytest.raises(TypeError, match="a defect"):
        publish(Breaking(TypeError("a defect")), MESSAGE, kept=True)
