"""`release-worker metrics`: what is printed, and what is served."""

import signal
import socket

import pytest
from sqlalchemy import Engine

from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine, settings
from tests.support.ledger import ask, mailbox
from tests.support.metrics import samples, scraped

MADE = 'release_worker_releases_total{kind="release"}'


@pytest.fixture
def run(engine: Engine, database_url: str) -> CommandLine:
    """Nothing but the database; one release was made."""
    mailbox(engine).work_until_done(ask(engine, a_full_toolset(engine)))
    return CommandLine(settings(database_url=database_url))


def test_metrics_are_printed_in_each_format(run: CommandLine) -> None:
    printed = run("metrics")
    assert (printed.status, printed.err) == (0, "")
    assert samples(printed.out)[MADE] == 1
    assert run("metrics", "--openmetrics").out.endswith("# EOF\n")
    document = run("metrics", "--json").document
    [made] = [one for one in document if one["name"] == "release_worker_releases_total" and one["value"]]
    assert made == {
        "name": "release_worker_releases_total",
        "type": "counter",
        "labels": {"kind": "release"},
        "value": 1,
    }


def test_a_database_that_does_not_answer_is_shown_as_such_and_is_an_error() -> None:
    away = CommandLine(settings(database_url="postgresql://nobody@127.0.0.1:1/none"))("metrics")
    assert away.status == 1
    assert samples(away.out)["release_worker_up"] == 0
    assert away.err.startswith("error: ")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_metrics_are_served_until_it_is_told_to_stop(run: CommandLine, stop: signal.Signals) -> None:
    with run.started("metrics", "--serve", "--port", "0") as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().strip()
        port = int(address.removeprefix("http://127.0.0.1:").removesuffix("/metrics"))
        assert samples(scraped(port))[MADE] == 1
        serving.send_signal(stop)
        _, err = serving.communicate(timeout=60)
    assert (serving.returncode, err) == (0, "")


def test_a_port_that_is_taken_is_wrong_usage(run: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("metrics", "--serve", "--port", taken.getsockname()[1])
    assert refused.status == 2
    assert "cannot be had" in refused.err
