"""The numbers of a real worker are exactly what happened, whoever is asked for them, and whatever becomes of its
children."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from release_worker.embedded.process import eventually
from release_worker.errors import ReleaseNotFound
from tests.faults.processes import CeleryProcess, environment_of
from tests.faults.shop import ATTEMPTS, POISON, QUICK, Shop
from tests.support.metrics import Samples, above_zero, free_port, samples, scraped
from tests.support.workers import LONG

COUNTED = ("requests_finished_total", "attempts_total", "retries_total", "failures_total", "releases_total", "requests")
RELEASES = 4


def printed(shop: Shop) -> Samples:
    """What `release-worker metrics` prints."""
    program = [sys.executable, "-c", "from release_worker.cli.main import main; main()", "metrics"]
    done = subprocess.run(
        program, env=environment_of(shop.servers, shop.database_url), capture_output=True, text=True, check=True
    )
    return samples(done.stdout)


def lasting(found: Samples) -> Samples:
    """What is the same a moment later: no time that it took, and no size on disk."""
    fleeting = ("release_worker_scrape_seconds", "release_worker_oldest_undelivered", "release_worker_table")
    return {name: value for name, value in found.items() if not name.startswith(fleeting)}


def has_socket(pid: int, port: int) -> bool:
    """Whether a process has the socket that listens on the port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    assert listening
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return bool(held & listening)


def test_the_numbers_are_what_happened_on_the_port_and_on_the_command_line(shop: Shop) -> None:
    port = free_port()
    with shop.worker("worker", app=QUICK, RELEASE_WORKER_METRICS_PORT=str(port)) as worker:
        worker.wait_until_ready()
        for _ in range(RELEASES):
            shop.client.create_release(shop.billing.path, actor="tester").result(LONG)
        with pytest.raises(ReleaseNotFound):
            shop.client.rollback(shop.billing.path, 99, actor="tester").result(LONG)
        poison = shop.client.create_release(shop.billing.path, actor="tester", notes=POISON)
        shop.sweep_until_ended(poison.id, within=LONG)
        last = shop.client.create_release(shop.billing.path, actor="tester")
        shop.sweep_until_ended(last.id, within=LONG)

        assert above_zero(printed(shop), *COUNTED) == {
            'requests_finished_total{kind="create_release",status="succeeded"}': RELEASES + 1,
            'requests_finished_total{kind="create_release",status="failed"}': 1,
            'requests_finished_total{kind="rollback",status="failed"}': 1,
            'attempts_total{kind="create_release",outcome="succeeded"}': RELEASES + 1,
            'attempts_total{kind="create_release",outcome="expired"}': ATTEMPTS,
            'attempts_total{kind="rollback",outcome="failed"}': 1,
            'retries_total{kind="create_release"}': ATTEMPTS - 1,
            'failures_total{error="WorkerLost"}': 1,
            'failures_total{error="ReleaseNotFound"}': 1,
            'releases_total{kind="release"}': RELEASES + 1,
        }
        assert above_zero(printed(shop), "attempt_seconds_count", "queue_wait_seconds_count") == {
            'attempt_seconds_count{kind="create_release"}': RELEASES + 1,
            'attempt_seconds_count{kind="rollback"}': 1,
            'queue_wait_seconds_count{kind="create_release"}': RELEASES + 2,
            'queue_wait_seconds_count{kind="rollback"}': 1,
        }
        assert eventually(lambda: lasting(samples(scraped(port))) == lasting(printed(shop)), within=20)
        worker.kill_all()


def test_the_port_is_the_parents_alone_and_outlives_its_children(shop: Shop) -> None:
    port = free_port()
    with shop.worker("worker", app=QUICK, RELEASE_WORKER_METRICS_PORT=str(port)) as worker:
        worker.wait_until_ready()
        shop.client.create_release(shop.billing.path, actor="tester").result(LONG)
        before = set(worker.children())
        for child in before:
            os.kill(child, signal.SIGKILL)
        assert eventually(lambda: bool(set(worker.children()) - before), within=30)
        shop.client.create_release(shop.billing.path, actor="tester").result(LONG)
        assert samples(scraped(port))['release_worker_releases_total{kind="release"}'] == 2
        assert has_socket(worker.pid, port)
        assert not any(has_socket(child, port) for child in worker.children())
        worker.kill_all()


def test_a_worker_whose_port_is_taken_works_all_the_same(shop: Shop) -> None:
    port = free_port()
    with (
        shop.worker("first", app=QUICK, RELEASE_WORKER_METRICS_PORT=str(port)) as first,
        shop.worker("second", app=QUICK, RELEASE_WORKER_METRICS_PORT=str(port)) as second,
    ):
        first.wait_until_ready()
        first.wait_until(lambda: "metrics_shown" in _said(first, second))
        second.wait_until_ready()
        second.wait_until(lambda: "metrics_not_shown" in _said(first, second))
        for _ in range(4):
            shop.client.create_release(shop.billing.path, actor="tester").result(LONG)
        assert samples(scraped(port))['release_worker_releases_total{kind="release"}'] == 4


def _said(*workers: CeleryProcess) -> str:
    return "".join(worker.said() for worker in workers)
