"""How the command line fails: one clear line, the details that help, and the exit status."""

import json
import re

import psycopg
import pytest

from release_worker.operations.schema import OWN_SCHEMA
from release_worker.testing.running.databases import EMPTY
from tests.support.billing import INVOICE
from tests.support.command_line import PROGRAM, CommandLine, settings
from tests.support.servers import Servers
from tests.support.workers import Service
from tests.support.world import Toolset

LONG_URN = "tools:http:github:actions_add_custom_labels_to_self_hosted_runner_for_repo"
LONG_NOTES = "Upgraded to GitHub Enterprise 3.19, with the new prompts;\nsee https://example.test/changes/2026-11-22"


def test_without_a_worker_a_timeout_says_where_to_look(nobody_works: CommandLine, billing: Toolset) -> None:
    ended = nobody_works("release", billing.path, "--timeout", 0.2)
    request_id = nobody_works("requests", "list", "--toolset", billing.path, "--json").document[0]["id"]

    assert (ended.status, ended.out) == (4, "")
    assert f"error: request {request_id} has not finished after 0.2 s; it is queued\n" in ended.err
    assert "Is a worker running" in ended.err
    assert f"requests show {request_id}" in ended.err
    shown = nobody_works("requests", "show", request_id).out
    assert re.search(r"^status +queued$", shown, re.MULTILINE)
    assert shown.endswith("It waits for a worker. Is one running? Start one: celery -A release_worker worker\n")


def test_a_refused_rollback_lists_what_stands_in_its_way(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    other = billing.project.toolset("other", tools=[INVOICE])
    billing.project.configure("model", "another")

    refused = run("rollback", billing.path, 1)
    assert (refused.status, refused.out) == (1, "")
    assert f"  {other.path}: system\n" in refused.err
    assert "--allow-shared-impact" in refused.err
    allowed = run("rollback", billing.path, 1, "--allow-shared-impact")
    assert allowed.status == 0
    assert "--allow-shared-impact" in allowed.out.partition("Undo it:")[2]

    deployment = billing.project.active()
    assert deployment is not None
    deployment.remove_tool(INVOICE)
    missing = run("rollback", billing.path, 1, "--component", "tools")
    assert (missing.status, missing.out) == (1, "")
    assert missing.err.startswith("error: nothing would provide some of what the release served\n")
    assert f"  {INVOICE}\n" in missing.err
    assert "--on-missing recreate" in missing.err
    skipped = run("rollback", billing.path, 1, "--component", "tools", "--on-missing", "skip", "--plan")
    assert f"warning: skipped tools: {INVOICE}" in skipped.out
    assert " --apply " in skipped.out.partition("Do it:")[2]


def test_an_error_is_one_line_or_one_record(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    unknown = "nobody/has/this"
    for status, message, arguments in (
        (1, f"there is no toolset {unknown}", ["release", unknown]),
        (1, f"there is no toolset {unknown}", ["list", unknown]),
        (1, f"there is no toolset {unknown}", ["requests", "list", "--toolset", unknown]),
        (1, f"toolset {billing.path} has no release 9", ["show", billing.path, "9"]),
        (1, f"toolset {billing.path} has no release 9", ["rollback", billing.path, "9"]),
        (1, "expected release 7 to be current, but release 1 is", _stale(billing)),
        (1, "there is no request nope", ["requests", "show", "nope"]),
        (2, "unknown components: nope", ["rollback", billing.path, "1", "--component", "nope"]),
        (2, "the request is not valid: actor:", ["release", billing.path, "--actor", "a\x07b"]),
    ):
        plain, record = run(*arguments), run(*arguments, "--json")
        assert (plain.status, plain.out, record.status, record.out) == (status, "", status, "")
        assert plain.err.startswith(f"error: {message}")
        assert all(line.startswith("  ") for line in plain.err.splitlines()[1:])
        assert json.loads(record.err)["message"].startswith(message)
        assert json.loads(record.err).keys() == {"type", "message", "details"}


def _stale(billing: Toolset) -> list[str]:
    return ["release", billing.path, "--expected-current-release", "7"]


def test_a_database_is_made_checked_and_found_wanting(servers: Servers) -> None:
    with servers.databases.temporary(template=EMPTY) as url:
        run = CommandLine(settings(database_url=url, broker_url=servers.broker_url))
        not_ready = run("list", "acme/payments/billing")
        assert not_ready.status == 1
        assert "release-worker db upgrade" in not_ready.err
        assert "release-worker db upgrade" in run("release", "acme/payments/billing").err
        assert run("db", "check").status == 1
        assert "has no tables of release-worker yet" in run("db", "check").out

        assert run("db", "upgrade").out.startswith("The tables are made: revision ")
        assert run("db", "upgrade").out.endswith(" already.\n")
        assert run("db", "check").status == 0
        assert run("requests", "list").out == "There are no requests yet.\n"

        _execute(url, "ALTER TABLE release_requests DROP COLUMN worker")
        differs = run("db", "check")
        assert differs.status == 1
        assert "column worker of table release_requests is missing" in differs.out
        assert not json.loads(run("db", "check", "--json").out)["ok"]

        _execute(url, "UPDATE release_worker_alembic_version SET version_num = '9999_future'")
        newer = "The database is at revision 9999_future, which is newer than this version; it goes on."
        checked, upgraded = run("db", "check"), run("db", "upgrade", "--grants")
        assert (checked.status, checked.out) == (0, f"{newer}\n")
        assert (upgraded.status, upgraded.err) == (0, "")
        assert upgraded.out == f"{newer} Nothing was changed.\n"
        assert json.loads(run("db", "check", "--json").out)["ok"]


def test_a_check_names_what_else_is_missing_from_the_schema(servers: Servers) -> None:
    with servers.databases.temporary() as url:
        run = CommandLine(settings(database_url=url))
        assert run("db", "check").status == 0
        _execute(url, "DROP TRIGGER toolset_releases_immutable ON toolset_releases")
        _execute(url, "ALTER TABLE source_states DISABLE TRIGGER source_states_immutable")
        _execute(url, "ALTER TABLE toolset_tools DISABLE TRIGGER ALL")
        _execute(url, "DROP FUNCTION release_worker_digest")
        differs = run("db", "check")
        assert differs.status == 1
        assert _without_path(differs.out).splitlines()[1:] == [
            "  foreign keys of table toolset_tools are disabled",
            "  function release_worker_digest is missing",
            "  trigger source_states_immutable on table source_states is disabled",
            "  trigger toolset_releases_immutable on table toolset_releases is missing",
            "Enable what is disabled: ALTER TABLE … ENABLE TRIGGER ALL, as the owner (foreign keys: a superuser).",
            "Mend the rest by hand. To see how it must be: `release-worker db upgrade` in an empty database, then"
            " `pg_dump --schema-only`.",
        ]
        upgraded = run("db", "upgrade")
        assert upgraded.status == 1
        assert upgraded.out.splitlines()[1:] == differs.out.splitlines()
        assert run("db", "upgrade", "--json").status == 1


def test_an_upgrade_says_what_is_in_its_way(servers: Servers) -> None:
    with servers.databases.temporary(template=EMPTY) as url:
        run = CommandLine(settings(database_url=url))
        _execute(url, "CREATE TABLE invoices (id int CONSTRAINT organizations_slug_key UNIQUE)")
        said = "his database already has an index organizations_slug_key that release-worker did not make."
        assert f"error: t{said}" in run("db", "upgrade").err
        _execute(url, "CREATE TABLE projects (id int)")
        said = "his database already has a table projects, and 1 more, that release-worker did not make."
        refused, checked = run("db", "upgrade"), run("db", "check")
        assert (refused.status, refused.out, checked.status, checked.err) == (1, "", 1, "")
        assert refused.err == f"error: t{said} {OWN_SCHEMA} Nothing was changed.\n"
        assert checked.out == f"T{said} {OWN_SCHEMA}\n"


def test_who_lacks_a_privilege_is_told_so(servers: Servers) -> None:
    with servers.databases.temporary() as url:
        _execute(url, "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        run = CommandLine(settings(database_url=url.replace("postgres@", "stranger@")))
        refused = run("requests", "list")
        assert refused.status == 1
        complaint, advice = _without_path(refused.err).splitlines()
        told = "error: the database role stranger lacks a privilege: permission denied for table release_requests"
        assert complaint == told
        assert advice == "  What each role needs: release-worker db grants"


def test_a_database_that_does_not_exist_is_told_as_such(servers: Servers) -> None:
    url = servers.postgres.url("nowhere")
    refused = CommandLine(settings(database_url=url))("requests", "list")
    assert refused.err.splitlines()[0] == "error: the database nowhere does not exist"
    assert "Does PostgreSQL run" not in refused.err


def test_a_request_that_is_tried_again_says_when_and_why(
    nobody_works: CommandLine, served: Service, billing: Toolset
) -> None:
    """And does not ask whether a worker runs, nor offer to start servers beside those that are set."""
    request_id = nobody_works("release", billing.path, "--no-wait", "--idempotency-key", "k", "--json").document
    error = {"type": "VersionConflict", "message": "a row of projects is held by another transaction", "details": {}}
    url = nobody_works.environment["RELEASE_WORKER_DATABASE_URL"]
    _execute(
        url,
        "UPDATE release_requests SET attempts = 3, next_attempt_at = '2999-01-01 19:48:08+00',"
        f" error = '{json.dumps(error)}'",
    )
    ended = nobody_works("release", billing.path, "--idempotency-key", "k", "--timeout", 0)
    follow = f"requests show {request_id['request_id']}"
    again = "next try 2999-01-01 19:48:08 UTC"
    assert ended.err.splitlines()[1] == f"  It was tried 3 times: {error['message']}; {again}."
    assert ended.err.splitlines()[2].startswith("  The request is kept and will be done: do not ask again. Follow it: ")
    assert ended.err.endswith(f"{follow}\n")
    assert "Is a worker running" not in ended.err
    shown = nobody_works("requests", "show", request_id["request_id"]).out
    assert shown.endswith("It is tried again at 2999-01-01 19:48:08 UTC.\n")


def test_a_sweep_counts_what_it_did(nobody_works: CommandLine) -> None:
    counted = nobody_works("requests", "sweep").out
    assert re.fullmatch(r"Published again: \d+\. Out of attempts: \d+\. Not valid as requests: 0\.\n", counted)


def test_what_succeeded_is_not_tried_again(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    request_id = run("requests", "list", "--json").document[0]["id"]
    refused = run("requests", "retry", request_id)
    told = f"error: request {request_id} has succeeded already: only a failed request can be tried again\n"
    assert (refused.status, refused.err) == (2, told)


def _without_path(text: str) -> str:
    """A command to type begins with the program's path if it is not on the shell's."""
    return text.replace(f"{PROGRAM.parent}/", "")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(statement)


NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("environment", "arguments", "complaint", "advice"),
    [
        ({}, ["list", "a/b/c"], "RELEASE_WORKER_DATABASE_URL is not set", "release-worker dev"),
        ({}, ["db", "check"], "RELEASE_WORKER_DATABASE_URL is not set", "release-worker dev"),
        ({}, ["release", "a/b/c"], "RELEASE_WORKER_BROKER_URL is not set", "release-worker dev"),
        (settings(database_url="nonsense"), ["list", "a/b/c"], "RELEASE_WORKER_DATABASE_URL is not the URL of", ""),
        (settings(database_url="mysql://root@db/x"), ["db", "upgrade"], "RELEASE_WORKER_DATABASE_URL is not", ""),
        (settings(schema="bad;name"), ["db", "check"], "cannot be read: RELEASE_WORKER_SCHEMA; a schema has", ""),
        (
            settings(database_url=f"postgresql://u:secret@{NOWHERE}/x"),
            ["requests", "list"],
            "the database cannot be",
            "Does PostgreSQL run",
        ),
        (
            settings(broker_url=f"redis://:secret@{NOWHERE}/0"),
            ["release", "a/b/c", "--no-wait"],
            "the broker cannot be reached",
            "Does Redis or Valkey run",
        ),
        (settings(broker_url=f"redis://{NOWHERE}/0"), ["dev"], "RELEASE_WORKER_DATABASE_URL is not set", ""),
    ],
)
def test_without_its_servers_a_command_says_what_to_set(
    environment: dict[str, str], arguments: list[str], complaint: str, advice: str
) -> None:
    ended = CommandLine(environment).as_process(*arguments)

    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"error: {complaint}")
    assert advice in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert "secret" not in ended.err
