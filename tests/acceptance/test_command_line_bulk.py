"""Every toolset of a project or an organization is released by one command, and started again it does nothing twice."""

import json
import os
import re
import signal
import subprocess
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from release_worker.embedded.process import eventually
from tests.support.command_line import PROGRAM, CommandLine, settings
from tests.support.records import releases_of
from tests.support.workers import LONG, Service
from tests.support.world import Project, Toolset, World

MANY = 30
TOO_DEEP = 250


@pytest.fixture
def project(served: Service) -> Project:
    return World(served.engine).organization(f"org-{uuid4().hex[:12]}").project("payments")


def toolsets_of(project: Project, number: int) -> list[Toolset]:
    return [project.toolset(f"toolset-{place:02}", tools=[f"tools:function:tool_{place}"]) for place in range(number)]


def owner(project: Project) -> str:
    return f"{project.organization.slug}/{project.slug}"


def spoil(toolset: Toolset) -> None:
    """From now on, it cannot be released."""
    nested: Any = 1
    for _ in range(TOO_DEEP):
        nested = [nested]
    toolset.edit(settings={"nested": nested})


def statuses(served: Service, project: Project) -> list[str]:
    query = """
        SELECT status FROM release_requests JOIN toolsets ON toolsets.id = toolset_id
        WHERE project_id = :project_id ORDER BY seq
    """
    with served.engine.connect() as connection:
        return list(connection.execute(text(query), {"project_id": project.id}).scalars())


def numbers(served: Service, toolsets: list[Toolset]) -> list[int]:
    """How many releases each has."""
    return [len(releases_of(served.engine, toolset)) for toolset in toolsets]


def test_a_bulk_that_is_interrupted_and_started_again_releases_each_toolset_once_and_names_the_one_that_fails(
    run: CommandLine, served: Service, project: Project
) -> None:
    toolsets = toolsets_of(project, MANY)
    spoil(toolsets[3])
    with served.engine.connect() as holder:  # so that the bulk cannot end before it is interrupted
        holder.execute(text("SELECT FROM toolsets WHERE id = :id FOR UPDATE"), {"id": toolsets[-1].id})
        with run.started("release", "--project", owner(project), "--label", "build=991", "--json") as bulk:
            assert eventually(lambda: statuses(served, project).count("succeeded") > MANY // 2, within=LONG)
            bulk.send_signal(signal.SIGINT)
            out, err = bulk.communicate(timeout=LONG)
        holder.rollback()
    assert (bulk.returncode, out) == (4, "")
    interrupted = json.loads(err)
    assert interrupted["type"] == "ResultUnavailable"

    key = interrupted["details"]["idempotency_key"]
    again = ["release", "--project", owner(project), "--label", "build=991", "--idempotency-key", key]
    for _ in range(2):
        ended = run.as_process(*again, "--json")
        document = json.loads(ended.out)
        assert (ended.status, ended.err) == (1, "")
        assert (document["released"], document["unchanged"], document["idempotency_key"]) == (MANY - 1, 0, key)
        [failed] = document["failed"]
        assert (failed["path"], failed["type"]) == (toolsets[3].path, "UnsupportedContent")
    assert numbers(served, toolsets) == [1, 1, 1, 0, *[1] * (MANY - 4)]
    assert sorted(statuses(served, project)) == ["failed", *["succeeded"] * (MANY - 1)]

    without_key = run("release", "--project", owner(project))
    headline, failure = without_key.out.splitlines()
    assert headline == f"30 toolsets of {owner(project)}: 0 released, 29 unchanged, 1 failed."
    assert failure.startswith(f"failed  {toolsets[3].path}  UnsupportedContent: ")
    assert re.search(r"\(request [\w-]{36}\)$", failure)
    assert numbers(served, toolsets) == [1, 1, 1, 0, *[1] * (MANY - 4)]


def test_every_toolset_of_an_organization_is_released_and_no_other(
    run: CommandLine, served: Service, project: Project, billing: Toolset
) -> None:
    toolsets = [*toolsets_of(project, 2), *toolsets_of(project.organization.project("search"), 2)]
    gone = project.toolset("gone")
    gone.delete()
    released = run("release", "--organization", project.organization.slug, "--json").document
    assert (released["released"], released["unchanged"], released["failed"]) == (4, 0, [])
    assert numbers(served, [*toolsets, gone, billing]) == [1, 1, 1, 1, 0, 0]

    toolsets[0].edit(name="Edited")
    by_id = run("release", "--organization", str(project.organization.id), "--json").document
    assert (by_id["released"], by_id["unchanged"]) == (1, 3)
    narrowed = ["release", "--project", owner(project), "--organization", project.organization.slug]
    assert run(*narrowed).out == f"2 toolsets of {owner(project)}: 0 released, 2 unchanged, 0 failed.\n"


@pytest.mark.parametrize("options", [["--project", "nobody/payments"], ["--organization", "nobody"]], ids=" ".join)
def test_an_owner_that_is_not_there_is_one_clear_error(run: CommandLine, options: list[str]) -> None:
    refused = run("release", *options)
    scope = options[0].removeprefix("--")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(f"error: there is no {scope} {options[1]}\n")


def test_a_project_of_another_organization_is_as_good_as_not_there(run: CommandLine, project: Project) -> None:
    refused = run("release", "--project", owner(project), "--organization", "nobody")
    assert refused.status == 1
    assert refused.err.startswith(f"error: there is no project {owner(project)}\n")


def test_a_project_without_toolsets_is_done_at_once(run: CommandLine, project: Project) -> None:
    assert run("release", "--project", owner(project)).out == (
        f"0 toolsets of {owner(project)}: 0 released, 0 unchanged, 0 failed.\n"
    )


def test_a_bulk_that_nobody_waits_for_is_accepted(nobody_works: CommandLine, served: Service, project: Project) -> None:
    toolsets_of(project, 3)
    accepted = nobody_works("release", "--project", owner(project), "--no-wait", "--json").document
    assert len(accepted["request_ids"]) == 3
    assert statuses(served, project) == ["queued"] * 3
    shown = nobody_works("release", "--project", owner(project), "--no-wait").out
    assert shown.startswith("3 requests accepted under the key bulk-")


def test_a_bulk_for_which_no_worker_runs_says_how_to_go_on(
    nobody_works: CommandLine, served: Service, project: Project
) -> None:
    toolsets_of(project, 3)
    ended = nobody_works("release", "--project", owner(project), "--timeout", 0.2)
    assert (ended.status, ended.out) == (4, "")
    headline, question, advice = ended.err.splitlines()
    assert question == "  Is a worker running, and can it reach the broker?"
    assert headline == "error: 3 of 3 requests have not finished, and none did for 0.2 s"
    again = rf"release --project {owner(project)} --timeout 0.2 --idempotency-key bulk-[\w-]+$"
    assert re.search(rf"What was asked for is kept .*{again}", advice)
    assert statuses(served, project) == ["queued"] * 3


def test_a_bulk_is_kept_as_a_whole_while_the_broker_is_away(served: Service, project: Project) -> None:
    toolsets_of(project, 3)
    cut_off = CommandLine(settings(database_url=served.database_url, broker_url="redis://127.0.0.1:1/0"))
    ended = cut_off("release", "--project", owner(project), "--idempotency-key", "build-991")
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.rstrip().endswith(f"release --project {owner(project)} --idempotency-key build-991")
    assert statuses(served, project) == ["queued"] * 3


def test_a_key_that_was_used_for_other_releases_is_one_clear_error(
    nobody_works: CommandLine, served: Service, project: Project
) -> None:
    toolsets_of(project, 3)
    keyed = ["release", "--project", owner(project), "--idempotency-key", "build-991", "--no-wait"]
    assert nobody_works(*keyed, "--notes", "one").status == 0
    project.toolset("new")
    refused = nobody_works(*keyed, "--notes", "two", "--json")
    assert (refused.status, json.loads(refused.err)["details"]["differing"]) == (1, ["notes"])
    assert statuses(served, project) == ["queued"] * 3  # nothing was asked for the new one


def test_in_a_terminal_a_bar_shows_how_far_it_is(run: CommandLine, project: Project) -> None:
    toolsets_of(project, 3)
    ours, theirs = os.openpty()
    command = [str(PROGRAM), "release", "--project", owner(project)]
    environment = {**run.variables, "TERM": "xterm", "COLUMNS": "100"}
    bulk = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    with bulk, os.fdopen(ours, "rb", buffering=0) as terminal:
        while chunk := _read(terminal):
            shown += chunk
        out, _ = bulk.communicate(timeout=LONG)
    assert b"3/3" in shown
    assert b"3 released, 0 unchanged, 0 failed" in shown
    assert out.decode() == f"3 toolsets of {owner(project)}: 3 released, 0 unchanged, 0 failed.\n"


def _read(terminal: Any) -> bytes:
    """What comes next; nothing after the last one who writes has gone."""
    try:
        return bytes(terminal.read(4096))
    except OSError:
        return b""
