"""A real worker and the command line, in a database whose `public` has tables of our names that are somebody else's."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from release_worker.embedded.process import eventually
from tests.support.command_line import CommandLine, settings
from tests.support.own_schema import SCHEMA, Shared, shared_database
from tests.support.servers import Servers
from tests.support.workers import LONG, running_worker, serving

PLACE = "acme/payments/billing"


@pytest.fixture
def shared(servers: Servers) -> Iterator[Shared]:
    with shared_database(servers) as made:
        yield made


def test_a_worker_and_every_command_find_it(servers: Servers, shared: Shared, tmp_path: Path) -> None:
    more = {"schema": SCHEMA, "health_directory": str(tmp_path)}
    with serving(shared.database.url, servers.broker(4), more) as served:
        urls = {"database_url": served.database_url, "broker_url": served.broker_url}
        run = CommandLine(settings(**urls, **more, result_backend=served.broker_url))
        in_public = CommandLine(settings(**urls))
        assert run("db", "upgrade", "--grants").status == run("db", "check").status == 0
        assert f'are in schema "{SCHEMA}" of this database' in in_public("db", "upgrade").err
        in_the_way = in_public("db", "upgrade", "--beside-another").err
        assert "Set RELEASE_WORKER_SCHEMA to a schema that has none of these names." in in_the_way
        for made in (("organization", "acme"), ("project", "acme/payments"), ("toolset", PLACE)):
            assert run(made[0], "add", made[1]).status == 0, made
        with running_worker(served, "--hostname", "own-schema@%h"):
            assert run("release", PLACE, "--json").document["release_number"] == 1
            with shared.connect() as app:
                asked = f'SELECT "{SCHEMA}".release_worker_request(%s, %s, %s, %s::jsonb)'
                app.execute(asked.encode(), ["create_release", PLACE, "psql", json.dumps({"notes": "From SQL"})])
            assert eventually(lambda: len(run("list", PLACE, "--json").document["releases"]) == 2, within=LONG)
            assert run("rollback", PLACE, 1, "--json").document["to_release_number"] == 1
            assert run.as_process("healthcheck").status == 0
            assert run.as_process("verify", PLACE).status == 0
            assert "release_worker_up 1" in run.as_process("metrics").out
            found = json.loads(run("doctor", "--json").out)["findings"]
            assert [one for one in found if one["level"] == "wrong"] == []
    with shared.connect() as theirs:
        assert theirs.execute("SELECT * FROM public.organizations").fetchall() == [(1, "acme")]


def test_the_grants_are_printed_for_this_schema(shared: Shared) -> None:
    run = CommandLine(settings(database_url=shared.database.url, schema=SCHEMA))
    script = run("db", "grants").out
    with psycopg.connect(shared.database.url.replace("+psycopg", "")) as owner:
        owner.execute(script.encode())
        told = owner.execute("SELECT has_schema_privilege('release_worker_caller', %s, 'USAGE')", [SCHEMA]).fetchone()
        owner.rollback()
    assert told == (True,)
