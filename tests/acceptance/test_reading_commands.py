"""What an operator reads: every command that only reads, against a real history. Golden files hold what it prints."""

import json
import os
import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from release_worker import ReleaseClient
from release_worker.embedded.python_process import PythonProcess
from tests.support.billing import INVOICE, a_full_toolset, edit_everything
from tests.support.command_line import PROGRAM, CommandLine
from tests.support.golden import assert_golden
from tests.support.records import tampering
from tests.support.workers import Service
from tests.support.world import Toolset

GOLDEN = Path(__file__).parent / "golden"
SECRET = "hunter2"
WIDE = 200  # nothing is cut short, however many digits an age has
LONG_PROMPT = "Hello {{name}}\nHow are you?\nWhat can we do for you?\nGoodbye"


@pytest.fixture(scope="module")
def history(served: Service, worker: PythonProcess) -> Toolset:
    """Two releases, a rollback, marks, a pin, a failure, drift, and secrets in all of it."""
    assert worker.status is None
    billing = a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}")
    project = billing.project
    project.configure("api_key", SECRET)
    project.edit_prompt("greeting", prompt=LONG_PROMPT)
    with ReleaseClient(broker_url=served.broker_url, database_url=served.database_url) as client:
        client.create_release(billing.path, actor="alice", notes="first", labels={"build": "990"}).result(60)
        edit_everything(billing)
        project.add_prompt("greeting", prompt=LONG_PROMPT.replace("are you", "do you do"))
        project.configure("api_key", f"{SECRET} too")
        client.create_release(billing.path, actor="bob", notes="second", labels={"build": "991"}).result(60)
        client.rollback(billing.path, 1, actor="carol", reason="incident 4711").result(60)
        client.mark(billing.path, 2, "bad", actor="carol", reason="breaks refunds").result(60)
        client.mark(billing.path, 1, "good", actor="carol").result(60)
        client.pin(billing.path, 1, actor="dave").result(60)
        client.check_drift(billing.path, actor="nightly").result(60)
        handle = client.rollback(billing.path, 77, actor="erin")
        with pytest.raises(Exception, match="no release 77"):
            handle.result(60)
    billing.edit(description="edited live")
    billing.move_tool(INVOICE, 7)
    project.configure("api_key", f"{SECRET} three")
    return billing


COMMANDS: dict[str, tuple[int, list[str]]] = {
    "status": (0, ["status", "TOOLSET"]),
    "list": (0, ["list", "TOOLSET"]),
    "list_a_page": (0, ["list", "TOOLSET", "--limit", "1"]),
    "list_the_next_page": (0, ["list", "TOOLSET", "--before", "2"]),
    "list_by_label": (0, ["list", "TOOLSET", "--label", "build=991"]),
    "list_by_kind": (0, ["list", "TOOLSET", "--kind", "rollback"]),
    "list_by_actor": (0, ["list", "TOOLSET", "--actor", "alice"]),
    "list_of_the_past": (0, ["list", "TOOLSET", "--until", "2020-01-01"]),
    "show": (0, ["show", "TOOLSET", "2", "--component", "system"]),
    "log": (0, ["log", "TOOLSET"]),
    "log_of_failures": (0, ["log", "TOOLSET", "--failed"]),
    "log_of_changes": (0, ["log", "TOOLSET", "--changes", "--limit", "2"]),
    "diff": (3, ["diff", "TOOLSET", "1", "2"]),
    "diff_in_full": (3, ["diff", "TOOLSET", "1", "2", "--component", "system,tools", "--full"]),
    "diff_of_a_key": (3, ["diff", "TOOLSET", "1", "2", "--key", "prompts/*"]),
    "diff_from_live_state": (3, ["diff", "TOOLSET", "1"]),
    "diff_of_the_same": (0, ["diff", "TOOLSET", "2", "2"]),
    "drift": (3, ["drift", "TOOLSET"]),
    "toolsets": (0, ["toolsets", "--organization", "ORGANIZATION"]),
    "toolsets_checked": (0, ["toolsets", "--project", "ORGANIZATION/payments", "--check"]),
    "verify": (0, ["verify", "TOOLSET"]),
    "verify_all": (0, ["verify", "--all", "--organization", "ORGANIZATION"]),
}


def arguments(name: str, toolset: Toolset) -> list[str]:
    organization = toolset.project.organization.slug
    given = (one.replace("ORGANIZATION", organization).replace("TOOLSET", toolset.path) for one in COMMANDS[name][1])
    return list(given)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_what_its_golden_file_shows(
    run: CommandLine, history: Toolset, name: str, renew: bool
) -> None:
    ended = CommandLine(run.environment, WIDE)(*arguments(name, history))
    assert (ended.status, ended.err) == (COMMANDS[name][0], "")
    assert SECRET not in ended.out
    shown = anonymous(ended.out, history)
    assert_golden(
        f"{name}.txt", f"$ release-worker {' '.join(COMMANDS[name][1])}\n{shown}", renew=renew, directory=GOLDEN
    )


def anonymous(output: str, toolset: Toolset) -> str:
    """Without ids, digests, times and places, which differ each time, and the blanks that align them."""
    output = output.replace(toolset.project.organization.slug, "org-000000000000")
    output = re.sub(r"\S+/release-worker ", "release-worker ", output)
    output = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "00000000-0000-0000-0000-000000000000", output)
    output = re.sub(r"\b[0-9a-f]{64}\b", "0" * 64, output)
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-01 00:00:00", output)
    output = re.sub(r"\b\d+ (s|min)\b", "AGE", output)
    output = re.sub(r"(log \S+ --before) \d+", r"\1 SEQ", output)
    return re.sub(r"(?<=\S) {2,}", "  ", output)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("show", "diff_in_full")])
def test_what_a_command_prints_fits_80_columns(run: CommandLine, history: Toolset, name: str) -> None:
    """But for keys and commands to copy, which are never cut."""
    lines = CommandLine(run.environment, 80)(*arguments(name, history)).out.splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert all("release-worker" in line for line in wide), wide


@pytest.mark.parametrize("name", ["list", "log", "toolsets"])
def test_in_a_pipe_a_row_is_a_line_with_all_that_it_says(run: CommandLine, history: Toolset, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    command = [str(PROGRAM), *arguments(name, history)]
    piped = subprocess.run(command, env={**environment, **run.environment}, capture_output=True, text=True, check=True)
    document = json.loads(
        subprocess.run(
            [*command, "--json"], env={**environment, **run.environment}, capture_output=True, check=True
        ).stdout
    )
    rows = document if isinstance(document, list) else [*document["releases"], *document["rollbacks"]]
    assert len(piped.stdout.splitlines()) == len(rows) + 1
    assert "…" not in piped.stdout
    for row in rows:
        assert name != "log" or row["request_id"] in piped.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_one_json_document_without_secrets(run: CommandLine, history: Toolset, name: str) -> None:
    ended = run(*arguments(name, history), "--json")
    assert (ended.status, ended.err) == (COMMANDS[name][0], "")
    assert SECRET not in ended.out
    json.loads(ended.out)


def test_the_documents_have_the_keys_of_the_contract(run: CommandLine, history: Toolset) -> None:
    def keys(*command: str) -> set[str]:
        document = json.loads(run(*command, "--json").out)
        return set(document[0] if isinstance(document, list) else document)

    path = history.path
    assert keys("diff", path, "1") >= {"toolset_id", "from", "to", "same", "changes"}
    assert keys("drift", path) == {"toolset_id", "drifted", "current_release_number", "changes"}
    status = {"toolset_id", "path", "mode", "current_release_number", "drifted", "changes", "requests"}
    assert keys("status", path) >= status
    assert keys("toolsets") >= {"id", "path", "current_release_number"}
    assert keys("log", path) >= {"at", "actor", "operation", "request_id", "status"}
    assert keys("verify", path) >= {"releases", "mismatches"}
    assert keys("verify", "--all") >= {"releases", "mismatches"}


def test_the_client_gets_the_same_answers_through_the_queue(
    served: Service, run: CommandLine, billing: Toolset
) -> None:
    with ReleaseClient(broker_url=served.broker_url, result_backend=served.broker_url) as client:
        for number in range(2):
            billing.project.configure("number", number)
            client.create_release(billing.path, actor="alice").result(60)
        client.rollback(billing.path, 1, actor="alice").result(60)
        billing.edit(description="edited live")
        difference = client.diff(billing.path, 1, 2, components=["system"]).result(60)
        live = client.diff(billing.path, 1).result(60)
        verified = client.verify(billing.path).result(60)
        status = client.status(billing.path).result(60)
    shown = json.loads(run("diff", billing.path, 1, 2, "--component", "system", "--json").out)
    assert json.loads(difference.model_dump_json()) == shown
    assert (live.from_release, live.to, live.same) == (1, "live", False)
    assert (verified.releases, verified.mismatches) == (2, ())
    assert (status.current_release_number, status.requests) == (1, {"queued": 0, "running": 0})


def test_a_change_of_what_is_stored_is_named_with_its_release(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    run("release", billing.path)
    with tampering(served.engine) as connection:
        connection.execute(
            text("UPDATE toolset_versions SET name = 'tampered' WHERE toolset_id = :id"), {"id": billing.id}
        )
    ended = run("verify", billing.path)
    assert ended.status == 1
    assert re.search(
        r"^  release 1: toolset_version \(tools, resources, settings\): stored [0-9a-f]{64}, computed [0-9a-f]{64}$",
        ended.out,
        re.MULTILINE,
    )
    [mismatch] = json.loads(run("verify", billing.path, "--json").out)["mismatches"]
    assert mismatch.keys() >= {"toolset_id", "release_number", "object", "stored", "computed"}
    everything = run("verify", "--all", "--organization", billing.project.organization.slug, "--json")
    assert everything.status == 1
    assert [one["path"] for one in json.loads(everything.out)["mismatches"]] == [billing.path]


def test_all_toolsets_of_an_organization_are_checked_and_the_findings_kept(run: CommandLine, billing: Toolset) -> None:
    neighbour = billing.project.toolset("neighbour")
    organization = billing.project.organization.slug
    for toolset in (billing, neighbour):
        run("release", toolset.path)
    assert run("drift", "--organization", organization).status == 0
    billing.edit(description="edited live")

    ended = run("drift", "--organization", organization, "--json")

    assert ended.status == 3
    assert json.loads(ended.out) == {
        "checked": 2,
        "same": 1,
        "drifted": [{"path": billing.path, "components": ["settings"]}],
        "failed": [],
    }
    listed = run("toolsets", "--organization", organization, "--json").document
    assert [(one["path"], one["drifted"]) for one in listed] == [(billing.path, True), (neighbour.path, False)]
    run("release", billing.path)
    assert run("toolsets", "--organization", organization, "--json").document[0]["drifted"] is None


def test_a_status_tells_what_waits(nobody_works: CommandLine, billing: Toolset) -> None:
    request_id = nobody_works("release", billing.path, "--no-wait", "--json").document["request_id"]
    shown = nobody_works("status", billing.path)
    assert shown.status == 0
    assert re.search(r"^requests +1 queued, 0 running$", shown.out, re.MULTILINE)
    assert request_id in shown.out
    assert "held by no release" in shown.out
