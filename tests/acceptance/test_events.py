"""What happens is told by a real worker: to a real HTTP server, and to a task of another team's real Celery app."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from release_worker.broker.routing import DELIVER
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import ReleaseNotFound
from release_worker.settings import environment_with
from tests.support.billing import a_full_toolset
from tests.support.receivers import endpoint, status
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, running_worker, service
from tests.support.world import Toolset


class Allowing(Service):
    """Servers of a deployment that allows events to be posted to 127.0.0.1."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **_ALLOWED}


_ALLOWED = {
    name: value
    for name, value in environment_with(webhooks_private="true", webhooks_http="true").items()
    if "WEBHOOKS" in name
}


@pytest.fixture(scope="module")
def told(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=11) as plain:
        yield Allowing(plain.engine, plain.database_url, plain.broker_url)


@pytest.fixture(scope="module", autouse=True)
def worker_that_tells(told: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonProcess]:
    """A worker whose beat looks for events."""
    schedule = tmp_path_factory.mktemp("beat") / "schedule"
    with running_worker(told, "--beat", "--schedule", str(schedule), "--hostname", "told@%h") as worker:
        yield worker


@pytest.fixture
def billing(told: Service) -> Toolset:
    return a_full_toolset(told.engine, organization=f"org-{uuid4().hex[:12]}")


def test_releases_and_failures_are_posted_and_tried_again_until_they_arrive(
    told: Service, worker_that_tells: PythonProcess, billing: Toolset
) -> None:
    with endpoint() as receiver, told.client() as client:
        receiver.answers.append(status(503))
        made = client.subscribe(receiver.url, actor="x", project=billing.path.rpartition("/")[0])
        assert made.secret is not None
        client.create_release(billing.path, actor="ci", notes="n").result(LONG)
        with pytest.raises(ReleaseNotFound):
            client.rollback(billing.path, 7, actor="ci").result(LONG)
        worker_that_tells.wait_until(lambda: len(receiver.posted) >= 3)
        posted = receiver.posted[:]
        first = posted[0].verified(made.secret)
        by_id = {one.headers["webhook-id"]: one.verified(made.secret) for one in posted}
        assert sorted(event["type"] for event in by_id.values()) == ["release.created", "request.failed"]
        assert sum(one.headers["webhook-id"] == first["id"] for one in posted) >= 2, "the refused one came again"
        assert {event["toolset_id"] for event in by_id.values()} == {str(billing.id)}
        client.unsubscribe(str(made.subscription_id))


def test_a_private_address_is_refused_by_a_worker_that_does_not_allow_it(servers: Servers) -> None:
    with service(servers, broker_database=12) as strict, endpoint() as receiver, running_worker(strict) as worker:
        billing = a_full_toolset(strict.engine)
        with strict.client() as client, strict.stranger() as app:
            client.subscribe(receiver.url, actor="x")
            client.create_release(billing.path, actor="ci").result(LONG)
            app.send_task(DELIVER, queue="maintenance")
            worker.wait_until(lambda: "event_not_delivered" in worker.said())
            [subscription] = client.subscriptions()
        assert receiver.posted == []
        assert "RELEASE_WORKER_WEBHOOKS_HTTP" in str(subscription.last_error)
        assert "whsec_" not in worker.said()


def test_a_task_of_another_teams_app_is_called_on_its_own_queue(told: Service, billing: Toolset) -> None:
    command = ["celery", "-A", "tests.support.foreign_app", "worker", "--queues", "theirs", "--loglevel", "INFO"]
    command += ["--pool", "solo", "--hostname", "foreign@%h"]
    environment = {**told.environment, "FOREIGN_BROKER": told.broker_url}
    with (
        tempfile.TemporaryDirectory(prefix="foreign-") as logs,
        PythonProcess("foreign", command, ROOT, environment, Path(logs), 30.0) as foreign,
        told.client() as client,
        told.redis() as redis,
    ):
        foreign.wait_until(lambda: " ready." in foreign.said())
        made = client.subscribe_task(
            "theirs.told", queue="theirs", actor="x", organization=billing.path.partition("/")[0]
        )
        result = client.create_release(billing.path, actor="ci").result(LONG)
        foreign.wait_until(lambda: len(calls(redis)) == 1)
        [first] = calls(redis)
        [event] = client.events(billing.path)
        assert first["event"]["id"] == str(event.id)
        assert first["event"]["type"] == "release.created"
        assert first["event"]["data"]["release_number"] == result.release_number
        assert client.redeliver(str(event.id), to=str(made.subscription_id)) == 1
        foreign.wait_until(lambda: len(calls(redis)) == 2)
        assert calls(redis) == [first, first], "the same event, under the same task id"
        client.unsubscribe(str(made.subscription_id))


def calls(redis: Redis) -> list[Any]:
    return [json.loads(one) for one in redis.lrange("foreign:told", 0, -1)]


def test_what_waits_for_a_queue_that_nobody_reads_yet_is_there_when_somebody_does(
    told: Service, worker_that_tells: PythonProcess, billing: Toolset
) -> None:
    with told.client() as client, told.redis() as redis:
        made = client.subscribe_task(
            "later.told", queue="later", actor="x", organization=billing.path.partition("/")[0]
        )
        client.create_release(billing.path, actor="ci").result(LONG)
        worker_that_tells.wait_until(lambda: redis.llen("later") == 1)
        client.unsubscribe(str(made.subscription_id))
