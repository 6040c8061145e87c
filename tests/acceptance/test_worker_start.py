"""`celery -A release_worker worker`, as the console script that Celery installs, in a directory of the deployment."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from release_worker.embedded.process import eventually
from release_worker.errors import ReleaseNotFound
from tests.support.billing import a_full_toolset
from tests.support.servers import Servers
from tests.support.workers import LONG, Service, answer, service

CELERY = [str(Path(sys.executable).with_name("celery")), "-A", "release_worker"]


@pytest.fixture
def served(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=2) as made:
        yield made


@contextmanager
def script(directory: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Path]:
    """The console script, running; the file with what it says."""
    said = directory / "said"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*CELERY, *arguments], cwd=directory, env=dict(environment), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield said
    finally:
        process.terminate()
        process.wait(LONG)


def test_the_console_script_reads_the_celeryconfig_of_the_directory_that_it_starts_in(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(
        "worker_concurrency = 3\nbeat_schedule = {'nightly': {'task': 'theirs.nightly', 'schedule': 60.0}}\n"
    )
    environment = {**os.environ, "RELEASE_WORKER_BROKER_URL": "redis://broker.test/0"}
    report = subprocess.run(
        [*CELERY, "report"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "worker_concurrency: 3" in report.stdout
    assert "'nightly'" in report.stdout
    assert "'release_worker.sweep'" in report.stdout


@pytest.mark.parametrize("program", ["worker", "beat", "flower"])
def test_a_program_without_a_broker_ends_with_one_line_that_names_the_variable(tmp_path: Path, program: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEASE_WORKER_")}
    ended = subprocess.run(
        [*CELERY, program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "Error: RELEASE_WORKER_BROKER_URL is not set"
    assert "Traceback" not in ended.stderr


def test_a_worker_without_a_database_says_so_at_the_default_level_in_a_line_of_json(
    served: Service, tmp_path: Path
) -> None:
    environment = {name: value for name, value in served.environment.items() if not name.endswith("DATABASE_URL")}
    with script(tmp_path, environment, "worker", "--concurrency=1") as said:
        assert eventually(lambda: '"event": "worker_cannot_work"' in said.read_text(), within=LONG)
    assert "RELEASE_WORKER_DATABASE_URL is not set" in said.read_text()


def test_a_failed_rollback_leaves_a_line_that_says_all_of_it_at_the_default_level(
    served: Service, tmp_path: Path
) -> None:
    billing = a_full_toolset(served.engine)
    with script(tmp_path, served.environment, "worker", "--concurrency=1") as said, served.client() as client:
        client.create_release(billing.path, actor="ci").result(LONG)
        handle = client.rollback(billing.path, 7, actor="oncall")
        with pytest.raises(ReleaseNotFound):
            handle.result(LONG)
        assert eventually(lambda: '"event": "request_failed"' in said.read_text(), within=LONG)
    lines = [json.loads(line) for line in said.read_text().splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line["event"] == "request_failed"]
    assert line["request_id"] == handle.id
    assert (line["kind"], line["toolset"], line["toolset_id"]) == ("rollback", billing.path, str(billing.id))
    assert (line["release_number"], line["actor"], line["error"]) == (7, "oncall", "ReleaseNotFound")
    assert line["duration"] >= 0
    [done] = [line for line in lines if line["event"] == "request_succeeded"]
    assert (done["kind"], done["toolset"], done["release_number"]) == ("create_release", billing.path, 1)


def test_a_message_that_names_no_queue_arrives_if_the_worker_reads_the_default_queue_too(
    served: Service, tmp_path: Path
) -> None:
    billing = a_full_toolset(served.engine)
    environment = {**served.environment, "RELEASE_WORKER_EXTRA_QUEUES": "others, celery"}
    with script(tmp_path, environment, "worker", "--concurrency=1"), served.stranger() as app:
        sent = app.send_task("release_worker.create_release", kwargs={"toolset": billing.path, "actor": "ci"})
        assert answer(sent)["release_number"] == 1
