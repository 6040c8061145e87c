"""Requests on the command line: cancelled, followed, and kept while nobody waits for them."""

import json
import signal

import pytest
from redis import Redis
from sqlalchemy import text

from release_worker.embedded import EmbeddedServers, embedded_servers
from release_worker.embedded.process import eventually
from tests.support.command_line import CommandLine, settings
from tests.support.workers import Service
from tests.support.world import Toolset


def test_a_queued_request_is_cancelled_and_brought_back(nobody_works: CommandLine, billing: Toolset) -> None:
    asked = nobody_works("release", billing.path, "--no-wait", "--json").document["request_id"]
    cancelled = nobody_works.as_process("requests", "cancel", asked, "--actor", "alice", "--reason", "wrong branch")
    assert (cancelled.status, cancelled.err) == (0, "")
    assert cancelled.out.startswith(f"Request {asked} is cancelled. Bring it back: ")
    shown = nobody_works("requests", "show", asked).out
    assert f"RequestCancelled: request {asked} was cancelled by alice: wrong branch" in " ".join(shown.split())

    again = nobody_works("requests", "cancel", asked, "--json")
    told = f"request {asked} has failed already: only a queued request can be cancelled"
    assert (again.status, again.out) == (1, "")
    assert json.loads(again.err)["message"] == told

    assert nobody_works("requests", "retry", asked).status == 0
    assert nobody_works("requests", "show", asked, "--json").document["status"] == "queued"
    assert nobody_works("requests", "cancel", asked, "--json").document == {"request_id": asked}


def test_a_request_that_is_done_is_not_cancelled(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    [done] = run("requests", "list", "--toolset", billing.path, "--json").document
    refused = run("requests", "cancel", done["id"])
    told = f"error: request {done['id']} has succeeded already: only a queued request can be cancelled\n"
    assert (refused.status, refused.out, refused.err) == (1, "", told)


KEPT = "The request is kept and will be done: do not ask again. Follow it: "
NOWHERE = "redis://127.0.0.1:1/0"


def test_ctrl_c_stops_the_wait_and_not_the_request(
    nobody_works: CommandLine, served: Service, billing: Toolset
) -> None:
    with nobody_works.started("rollback", billing.path, 1) as waiting:
        assert eventually(lambda: _looks_for_an_end(served), within=30)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=30)
    [asked] = nobody_works("requests", "list", "--toolset", billing.path, "--json").document
    assert (waiting.returncode, out, asked["status"]) == (4, "", "queued")
    stopped, follow = err.splitlines()
    assert stopped == f"error: stopped waiting for request {asked['id']}"
    assert follow.startswith(f"  {KEPT}")


def _looks_for_an_end(served: Service) -> bool:
    """Whether a client has begun to wait: its statements are transactions, and not the one that asks."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'release_worker client' AND query ~* '^commit'
    """
    with served.engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


@pytest.mark.parametrize("options", [[], ["--no-wait"]], ids=["waiting", "not waiting"])
def test_a_request_that_was_kept_while_the_broker_was_away_has_a_status_of_its_own(
    served: Service, billing: Toolset, options: list[str]
) -> None:
    cut_off = CommandLine(settings(database_url=served.database_url, broker_url=NOWHERE))
    ended = cut_off("release", billing.path, *options)
    [asked] = cut_off("requests", "list", "--toolset", billing.path, "--json").document
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("error: the broker cannot be reached: ")
    assert KEPT in ended.err
    assert ended.err.endswith(f"requests show {asked['id']}\n")


def test_a_result_backend_that_goes_away_ends_the_wait_and_not_the_request() -> None:
    with embedded_servers() as servers:
        asking = CommandLine(settings(broker_url=servers.broker_url, result_backend=servers.broker_url))
        with asking.started("release", "acme/payments/billing", "--json") as waiting:
            assert eventually(lambda: _waits(servers), within=30)
            servers.valkey.kill()
            out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (4, "")
    error = json.loads(err)
    assert error["type"] == "ResultUnavailable"
    assert "the result backend is away" in error["message"]


def _waits(servers: EmbeddedServers) -> bool:
    """Whether its message is in the queue, and somebody has looked for its result: only then has publishing ended."""
    with Redis.from_url(servers.redis_url) as broker:
        return bool(broker.llen("releases")) and "cmdstat_get" in broker.info("commandstats")
