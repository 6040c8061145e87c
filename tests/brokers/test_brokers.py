"""What README promises, on every broker that it names besides Redis by itself."""

import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Producer
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.broker.address import Broker
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.examination import examine, fails
from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.process import eventually
from release_worker.errors import ReleaseNotFound
from release_worker.settings import given_settings
from tests.brokers.sites import SITES, ShopAtSite, at, losses
from tests.faults.shop import POISON, QUICK
from tests.support.billing import INVOICE
from tests.support.ledger import grow_old
from tests.support.live_state import live_state
from tests.support.records import assert_numbers_and_chain_complete, current_number, releases_of

LONG = 60.0


everywhere = at(*SITES)
with_results = at("rabbitmq", "sentinel", "tls")


@everywhere
def test_a_toolset_is_released_and_rolled_back(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        assert shop.client.create_release(shop.billing.path, actor="ci").result(LONG).release_number == 1
        released = live_state(shop.engine, shop.billing)
        shop.billing.move_tool(INVOICE, 9)
        assert shop.client.check_drift(shop.billing.path).result(LONG).drifted
        shop.client.rollback(shop.billing.path, 1, actor="oncall").result(LONG)
        assert live_state(shop.engine, shop.billing) == released
        with pytest.raises(ReleaseNotFound):
            shop.client.rollback(shop.billing.path, 99, actor="oncall").result(LONG)
    assert current_number(shop.engine, shop.billing) == 1


@with_results
def test_a_caller_without_a_database_is_answered_through_the_result_backend(shop: ShopAtSite) -> None:
    settings = given_settings(**shop.site.settings)
    caller = ReleaseClient(
        broker_url=settings.require("broker_url"),
        result_backend=settings.result_backend,
        sentinel=settings.sentinel,
    )
    with shop.worker("worker") as worker, caller:
        worker.wait_until_ready()
        assert caller.create_release(shop.billing.path, actor="ci").result(LONG).release_number == 1


@with_results
def test_the_locks_are_in_redis(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            handle = shop.client.create_release(shop.billing.path, actor="ci")
            shop.wait_until_waiting(handle.id)
            assert shop.lock_is_held(shop.billing)
        handle.result(LONG)
    assert "toolset_lock_unreachable" not in worker.said()


@everywhere
def test_a_busy_toolset_is_tried_again_and_slows_no_other(shop: ShopAtSite) -> None:
    """With more requests of the busy toolset than the worker may have at once."""
    other = shop.billing.project.toolset("refunds")
    with shop.worker("worker", children=2) as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            busy = [shop.client.create_release(shop.billing.path, actor="ci") for _ in range(8)]
            assert eventually(lambda: worker.said().count(" received") >= len(busy) + 4, within=LONG)
            for _ in range(5):
                shop.client.create_release(other.path, actor="ci").result(LONG)
            assert not any(shop.has_ended(handle.id) for handle in busy)
        for handle in busy:
            handle.result(LONG)
    assert_numbers_and_chain_complete(shop.engine, shop.billing)
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [handle.id for handle in busy]


@everywhere
def test_a_rollback_does_not_wait_for_the_releases_that_were_asked_before(shop: ShopAtSite) -> None:
    """At most those go before it that the worker has at hand: one that runs and, on RabbitMQ, one that is next."""
    aside = shop.billing.project.toolset("aside")
    first = shop.client.create_release(aside.path, actor="ci")
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        first.result(LONG)
        others = [shop.billing.project.toolset(f"other-{number}") for number in range(30)]
        with shop.holding(shop.billing):
            running = shop.client.create_release(shop.billing.path, actor="ci")
            shop.wait_until_waiting(running.id)
            handles = [shop.client.create_release(other.path, actor="ci") for other in others]
            rollback = shop.client.rollback(aside.path, 1, actor="oncall")
        rollback.result(LONG)
        for handle in handles:
            handle.result(LONG)
    asked, ended = shop.request(rollback.id).created_at, shop.request(rollback.id).finished_at
    between = [handle for handle in handles if asked < shop.request(handle.id).finished_at < ended]
    assert len(between) <= 2


@everywhere
def test_a_release_whose_child_is_killed_in_mid_operation_is_made_once(shop: ShopAtSite) -> None:
    with shop.worker("worker", app=QUICK) as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            handle = shop.client.create_release(shop.billing.path, actor="tester")
            os.kill(shop.wait_until_waiting(handle.id), signal.SIGKILL)
        shop.sweep_until_ended(handle.id, within=LONG)
        assert handle.result().release_number == 1
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [handle.id]


@everywhere
def test_a_request_that_kills_every_child_ends_and_the_next_is_done(shop: ShopAtSite) -> None:
    with shop.worker("worker", app=QUICK) as worker:
        worker.wait_until_ready()
        poison = shop.client.create_release(shop.billing.path, actor="tester", notes=POISON)
        behind = shop.client.create_release(shop.billing.path, actor="tester")
        for handle in (poison, behind):
            shop.sweep_until_ended(handle.id, within=LONG)
    assert shop.request(poison.id).error["type"] == "WorkerLost"
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [behind.id]


@everywhere
def test_what_a_killed_worker_had_is_done_by_another(shop: ShopAtSite) -> None:
    with shop.worker("one", app=QUICK) as one:
        one.wait_until_ready()
        with shop.holding(shop.billing):
            handle = shop.client.create_release(shop.billing.path, actor="tester")
            shop.wait_until_waiting(handle.id)
            one.kill_all()
    with shop.worker("two", app=QUICK) as two:
        two.wait_until_ready()
        shop.sweep_until_ended(handle.id, within=LONG)
        assert handle.result().release_number == 1
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [handle.id]


@everywhere
def test_a_worker_outlives_the_loss_of_its_broker_in_mid_task(shop: ShopAtSite) -> None:
    """A restart, and behind Sentinel the death of the master."""
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            running = shop.client.create_release(shop.billing.path, actor="tester")
            shop.wait_until_waiting(running.id)
            shop.site.restart()
            assert eventually(lambda: losses(worker) >= 1, within=LONG)
        shop.sweep_until_ended(running.id, within=LONG)
        later = shop.client.create_release(shop.billing.path, actor="tester")
        shop.sweep_until_ended(later.id, within=LONG)
        assert worker.status is None
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [running.id, later.id]


@everywhere
def test_a_request_whose_message_is_lost_is_swept_and_done_under_its_id(shop: ShopAtSite) -> None:
    with Session(shop.engine) as session, session.begin():
        lost = shop.client.create_release(shop.billing.path, actor="ci", session=session)  # published by nobody
    grow_old(shop.engine, 60)
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        with sender(shop) as app:
            app.send_task("release_worker.sweep", queue="maintenance")
        assert eventually(lambda: shop.has_ended(lost.id), within=LONG)
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [lost.id]


@everywhere
def test_a_caller_that_knows_only_the_names_is_served(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        with sender(shop) as app:
            arguments = {"toolset": shop.billing.path, "actor": "stranger"}
            sent = app.send_task("release_worker.create_release", kwargs=arguments, queue="releases")
        assert eventually(
            lambda: [row.id for row in shop.asked() if row.status == "succeeded"] == [sent.id], within=LONG
        )


@everywhere
def test_the_doctor_finds_nothing_wrong_and_sees_what_waits(shop: ShopAtSite) -> None:
    deployment = Deployment(given_settings(database_url=shop.database_url, **shop.site.settings))
    with sender(shop) as app:
        app.send_task("release_worker.create_release", kwargs={})
    found = examine(deployment, within=LONG)
    wrong = {check.name for check, findings in found.items() if fails(findings)}
    assert wrong == {"workers", "queues", "stray"}
    if deployment.broker.is_rabbitmq:
        assert examine(replace(deployment, _answers=[]), within=LONG)  # what was looked at has gone back
    with shop.worker("worker", RELEASE_WORKER_EXTRA_QUEUES="celery") as worker:
        worker.wait_until_ready()
        assert eventually(
            lambda: not any(map(fails, examine(replace(deployment, _answers=[]), within=LONG).values())), within=LONG
        )
    assert [row.error["type"] for row in shop.asked()] == ["InvalidRequest"]


HOSTILE: list[tuple[bytes | str, dict[str, Any], str]] = [
    (b"\x80\x81 no message", {}, "application/octet-stream"),
    ("not json", {"task": "release_worker.create_release", "id": "x"}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release"}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release", "id": 7}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release", "id": "x", "eta": "soon"}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release", "id": "x", "timelimit": ["a", 1]}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release", "id": "x", "expires": "never"}, "application/json"),
    ("[[], {}, {}]", {"task": "release_worker.create_release", "id": "x", "retries": "many"}, "application/json"),
    ("[]", {"task": ["a"], "id": "x"}, "application/json"),
    ('{"task": 1}', {}, "application/json"),
    (json.dumps([1, 2]), {"task": "no such task", "id": "y"}, "application/json"),
    (
        "gASVCgAAAAAAAACMBnNlY3JldJQu",
        {"task": "release_worker.create_release", "id": "z"},
        "application/x-python-serialize",
    ),
]


@everywhere
def test_whatever_arrives_on_a_queue_the_worker_lives_and_does_what_comes_next(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        broker = Broker.of(given_settings(**shop.site.settings))
        ours = broker.settings(DEFAULTS)
        releases = ours["task_queues"][0]
        with Connection(broker.url, transport_options=ours["broker_transport_options"]) as connection:
            producer = Producer(connection)
            for body, headers, content_type in HOSTILE:
                producer.publish(
                    body,
                    exchange=releases.exchange,
                    routing_key=releases.name,
                    headers=headers,
                    content_type=content_type,
                    content_encoding="binary" if isinstance(body, bytes) else "utf-8",
                    declare=[releases],
                )
        shop.client.create_release(shop.billing.path, actor="ci").result(LONG)
        assert worker.status is None
        assert worker.started == 1


def sender(shop: ShopAtSite) -> Celery:
    """An app that knows where the broker is, the names, and for RabbitMQ the type of the queues; nothing of ours."""
    settings = given_settings(**shop.site.settings)
    broker = Broker.of(settings)
    app = Celery("stranger", broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = broker.settings(DEFAULTS)["broker_transport_options"]
    if broker.is_rabbitmq:
        app.conf.task_create_missing_queue_type = "quorum"
    return app
