"""The recipe of docs/how-to/scale.md: two deployments in one PostgreSQL and one Redis do not see each other."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import text

from release_worker.embedded.python_process import PythonProcess
from release_worker.store.engine import make_engine
from tests.support.billing import a_full_toolset
from tests.support.command_line import PROGRAM
from tests.support.ledger import ledger
from tests.support.repository import ROOT, read
from tests.support.servers import Servers
from tests.support.workers import LONG, Service, serving

PAGE = read("docs/how-to/scale.md").partition("\n## Shard by organization\n")[2]
ORGANIZATIONS = {1: "acme", 2: "globex"}
STOP_SECONDS = 30.0


def blocks(language: str) -> list[str]:
    """The blocks of the recipe, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indentation}", "", block, flags=re.MULTILINE) for indentation, block in found]


@dataclass(frozen=True)
class Shards:
    """Two deployments, and what stands for their addresses on the page."""

    services: Mapping[int, Service]
    directory: Path

    def with_addresses(self, recipe: str) -> str:
        for number, served in self.services.items():
            url = served.database_url.replace("postgresql+psycopg:", "postgresql:")
            recipe = recipe.replace(f"postgresql://user:password@db/shard_{number}", url)
            recipe = recipe.replace(f"redis://redis:6379/{number}", served.broker_url)
        return recipe

    def environment(self, number: int) -> dict[str, str]:
        """What a shell has after the first line of the second step."""
        written = self.with_addresses(blocks("sh")[number - 1])
        (self.directory / f"shard-{number}.env").write_text(written)
        first_line = self.commands(number)[0]
        path = f"{PROGRAM.parent}:/usr/bin:/bin"
        ran = subprocess.run(
            ["bash", "-c", f"{first_line}; env -0"],
            cwd=self.directory,
            env={"PATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return dict(entry.split("=", 1) for entry in ran.stdout.split("\0") if entry)

    def commands(self, number: int) -> list[str]:
        return blocks("sh")[2].replace("shard-1", f"shard-{number}").splitlines()

    def worker(self, number: int) -> PythonProcess:
        """The worker of the second step, in a directory without a celeryconfig.py."""
        arguments = shlex.split(self.commands(number)[2])
        environment = self.environment(number)
        name = f"shard-{number}"
        return PythonProcess(name, arguments, self.directory, environment, stop_seconds=STOP_SECONDS)


@pytest.fixture
def shards(servers: Servers, tmp_path: Path) -> Iterator[Shards]:
    """The second database is a copy of the first, in which the organization has another name: all ids are the same."""
    with ExitStack() as stack:
        urls = [stack.enter_context(servers.databases.temporary())]
        engine = make_engine(urls[0])
        a_full_toolset(engine, organization=ORGANIZATIONS[1])
        engine.dispose()
        urls.append(stack.enter_context(servers.databases.temporary(template=str(engine.url.database))))
        services = {
            number: stack.enter_context(serving(url, servers.broker(12 + number)))
            for number, url in enumerate(urls, start=1)
        }
        with services[2].engine.begin() as connection:
            connection.execute(text("UPDATE organizations SET slug = :slug"), {"slug": ORGANIZATIONS[2]})
        yield Shards(services, tmp_path)


def _only_worker(served: Service, name: str) -> bool:
    """Whether a worker answers through a shard's broker; there must be no other than that of this name."""
    with Celery("look", broker=served.broker_url, set_as_current=False) as app:
        found = {node.partition("@")[0] for answer in app.control.ping(timeout=2.0) for node in answer}
    assert found <= {name}
    return bool(found)


def program(shards: Shards, organization: str) -> str:
    """Run the app of the third step for a toolset of this organization; what it prints."""
    source = shards.with_addresses(blocks("python")[0]).replace("acme/payments", f"{organization}/payments")
    ran = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, timeout=LONG, check=True)
    return ran.stdout.strip()


def test_shards_made_as_the_page_says_do_not_see_each_other(shards: Shards) -> None:
    for number in shards.services:
        upgrade = shards.commands(number)[1]
        subprocess.run(["bash", "-c", upgrade], cwd=shards.directory, env=shards.environment(number), check=True)
    with ExitStack() as stack:
        workers = {number: stack.enter_context(shards.worker(number)) for number in shards.services}
        for number, worker in workers.items():
            worker.wait_until(partial(_only_worker, shards.services[number], f"shard-{number}"))
        for number, served in shards.services.items():
            assert _only_worker(served, f"shard-{number}")
        assert program(shards, "acme") == "1"
        assert program(shards, "acme") == "2"
        assert program(shards, "globex") == "1"
        rows = {number: ledger(served.engine) for number, served in shards.services.items()}
        assert {row.toolset_id for row in rows[1]} == {row.toolset_id for row in rows[2]}  # the same ids
        assert [len(rows[1]), len(rows[2])] == [2, 1]
        children = {number: {str(pid) for pid in worker.children()} for number, worker in workers.items()}
        for number in shards.services:
            assert {row.worker.split()[-1] for row in rows[number]} <= children[number]
        workers[2].stop()
        with shards.services[2].client() as client:
            client.create_release("globex/payments/billing", actor="ci")
        assert program(shards, "acme") == "3"
        assert [row.status for row in ledger(shards.services[2].engine)] == ["succeeded", "queued"]


def test_the_page_shows_the_recipe_that_is_tested() -> None:
    assert [len(blocks("sh")), len(blocks("python"))] == [3, 1]
    assert [command.split()[0] for command in blocks("sh")[2].splitlines()] == [
        "set",
        "release-worker",
        "celery",
        "celery",
    ]


def test_two_brokers_of_one_database_are_no_shards_but_lose_nothing(servers: Servers, tmp_path: Path) -> None:
    """What the client of one broker asks is done by the worker of the other, once it is overdue."""
    with (
        servers.databases.temporary() as url,
        serving(url, servers.broker(13)) as deserted,
        serving(url, servers.broker(14)) as served,
        deserted.client() as client,
    ):
        toolset = a_full_toolset(served.engine)
        kept = client.create_release(toolset.path, actor="ci")
        arguments = ["celery", "-A", "release_worker", "worker", "--beat", "-s", str(tmp_path / "schedule")]
        with PythonProcess("other", arguments, ROOT, served.environment, tmp_path):
            assert kept.result(LONG).release_number == 1
