"""examples/fastapi and examples/django: an edit and its release over HTTP, in one transaction."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from release_worker.embedded.process import eventually
from release_worker.testing import ReleaseWorker

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVERS = {
    "fastapi": ["-m", "uvicorn", "app:app", "--port"],
    "django": ["app.py", "runserver", "--noreload", "--skip-checks"],
}


@pytest.fixture(params=SERVERS)
def address(request: pytest.FixtureRequest, release_worker: ReleaseWorker, tmp_path: Path) -> Iterator[str]:
    """Where the example listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    more = {"DATABASE_URL": release_worker.database_dsn, "BROKER_URL": release_worker.broker_url, "SECRET_KEY": "x"}
    said = tmp_path / "said"
    with said.open("wb") as log:
        command = [sys.executable, *SERVERS[request.param], port]
        directory = EXAMPLES / request.param
        running = subprocess.Popen(command, cwd=directory, env=os.environ | more, stdout=log, stderr=log)
    try:
        assert eventually(lambda: running.poll() is not None or _listens(int(port)), within=30)
        assert running.poll() is None, said.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def call(address: str, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    asked = Request(f"{address}{path}", data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urlopen(asked, timeout=30) as answered:
            return answered.status, json.load(answered)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def test_a_toolset_is_renamed_and_released(address: str, release_worker: ReleaseWorker) -> None:
    toolset = release_worker.sample_toolset()
    status, asked = call(address, "PUT", f"/toolsets/{toolset}", {"name": "Renamed"})
    assert status == 202
    status, ended = call(address, "GET", f"/requests/{asked['request']}")
    assert (status, ended["status"], ended["result"]["release_number"]) == (200, "succeeded", 1)
    assert release_worker.client.show_toolset(toolset).name == "Renamed"


def test_what_is_not_there_is_said(address: str) -> None:
    assert call(address, "PUT", "/toolsets/no/such/toolset", {"name": "x"})[0] == 404
    status, ended = call(address, "GET", "/requests/nothing")
    assert (status, ended["status"], ended["error"]) == (200, "failed", "RequestNotFound")
