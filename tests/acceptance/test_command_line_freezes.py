"""`freeze`, and every command that a freeze holds off, against a real worker."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.live_state import live_state
from tests.support.workers import Service
from tests.support.world import Toolset

COMMANDS = {
    "release": ["release", "{path}"],
    "rollback": ["rollback", "{path}", "1", "--allow-shared-impact"],
    "rollback of a plan": ["rollback", "{path}", "--apply", "{plan}"],
    "repair": ["repair", "{path}", "--allow-shared-impact"],
    "staging publish": ["staging", "publish", "{path}"],
    "import": ["import", "{file}", "--into", "{path}", "--allow-shared-impact"],
}
UNTIL = "2999-01-01T00:00+01:00"


def prepared(run: CommandLine, billing: Toolset, file: Path) -> dict[str, str]:
    """Whatever one of the commands may need."""
    run("release", billing.path)
    run("export", billing.path, 1, str(file))
    run("staging", "create", billing.path)
    billing.project.configure("edited", 1)
    plan = run("rollback", billing.path, 1, "--allow-shared-impact", "--plan", "--json").document["plan_id"]
    return {"path": billing.path, "file": str(file), "plan": plan}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_refused_during_a_freeze_with_the_option_that_does_it_all_the_same(
    served: Service, run: CommandLine, billing: Toolset, tmp_path: Path, command: str
) -> None:
    words = prepared(run, billing, tmp_path / "bundle.json")
    arguments = [one.format_map(words) for one in COMMANDS[command]]
    organization = billing.project.organization.slug
    frozen = run("freeze", "add", "--organization", organization, "--to", UNTIL, "--reason", "year end")
    assert frozen.out.startswith(f"{organization} is frozen from ")
    assert "to 2998-12-31 23:00:00 UTC.\n" in frozen.out
    before = live_state(served.engine, billing)

    refused = run(*arguments)

    assert refused.status == 1
    assert refused.err.startswith(
        f"error: {organization} is frozen until 2998-12-31T23:00:00+00:00 "
        "(override it with --override-freeze REASON or override_freeze): year end\n"
    )
    assert live_state(served.engine, billing) == before
    done = run(*arguments, "--override-freeze", "provider down")
    assert done.status == 0, done.err
    newest = run("log", billing.path, "--limit", 1, "--changes", "--json").document[0]
    assert newest["details"]["override_freeze"] == "provider down"
    assert "freeze overridden: provider down" in replace(run, columns=400)("log", billing.path).out
    assert "provider down" in run("requests", "show", newest["request_id"]).out


def test_every_release_of_a_project_is_refused_and_told(run: CommandLine, billing: Toolset) -> None:
    project = billing.path.rpartition("/")[0]
    run("freeze", "add", "--project", project, "--to", UNTIL, "--reason", "year end")
    refused = run("release", "--project", project, "--json")
    assert (refused.status, [one["type"] for one in json.loads(refused.out)["failed"]]) == (1, ["Frozen"])
    assert run("release", "--project", project, "--override-freeze", "why").status == 0


def test_show_says_that_a_release_and_a_rollback_were_made_in_spite_of_a_freeze(
    run: CommandLine, billing: Toolset
) -> None:
    run("freeze", "add", "--organization", billing.project.organization.slug, "--to", UNTIL, "--reason", "x")
    run("release", billing.path, "--override-freeze", "provider down")
    billing.edit(description="edited")
    run("rollback", billing.path, 1, "--override-freeze", "bad edit")
    shown = run("show", billing.path, 1)
    assert "overridden: provider down" in shown.out
    assert ", freeze overridden: bad edit" in shown.out
    document = run("show", billing.path, 1, "--json").document
    assert (document["override_freeze"], document["rollbacks"][0]["override_freeze"]) == ("provider down", "bad edit")
    listed = run("list", billing.path).out
    assert "freeze overridden: bad edit" in listed
    assert "freeze overridden: provider down" in listed


def test_a_plan_tells_the_refusal_and_with_the_option_how_it_is_done(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    billing.edit(description="edited")
    run("freeze", "add", "--organization", billing.project.organization.slug, "--to", UNTIL, "--reason", "year end")
    planned = run("rollback", billing.path, 1, "--plan")
    assert planned.status == 1
    assert "Would be refused: " in planned.out
    assert "--override-freeze" in planned.out
    overriding = run("rollback", billing.path, 1, "--plan", "--override-freeze", "provider down")
    assert overriding.status == 0
    command = next(line for line in overriding.out.splitlines() if line.startswith("Do it: "))
    assert command.endswith("--override-freeze 'provider down'")


def test_status_says_that_a_toolset_is_frozen_until_when_and_why(run: CommandLine, billing: Toolset) -> None:
    assert run("status", billing.path, "--json").document["freeze"] is None
    run("freeze", "add", "--organization", billing.project.organization.slug, "--to", UNTIL, "--reason", "year end")

    said = " ".join(run("status", billing.path).out.split())

    assert "frozen until 2998-12-31 23:00:00 UTC: year end (override it with --override-freeze REASON)" in said
    assert run("status", billing.path, "--json").document["freeze"]["reason"] == "year end"


def test_freezes_are_listed_and_taken_back(run: CommandLine, billing: Toolset) -> None:
    project = billing.path.rpartition("/")[0]
    made = run(
        "freeze", "add", "--project", project, "--from", "2998-01-01", "--to", UNTIL, "--reason", "later", "--json"
    ).document
    assert (made["scope"], made["starts_at"]) == (project, "2998-01-01T00:00:00+00:00")
    listed = run("freeze", "list", "--project", project)
    assert "to come  2998-01-01 00:00  2998-12-31 23:00" in listed.out
    assert made["id"] in listed.out
    assert run("freeze", "list", "--project", project, "--json").document == [made]
    assert run("release", billing.path).status == 0
    removed = run("freeze", "remove", made["id"])
    assert removed.out == f"The freeze of {project} is taken back: later\n"
    again = run("freeze", "remove", made["id"])
    assert again.status == 1
    assert again.err.startswith(f"error: there is no freeze {made['id']}\n")
    assert again.err.endswith("release-worker freeze list --past\n")
    assert run("freeze", "list", "--project", project).out == "There are no such freezes.\n"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--to", "soon"], "'soon' is not a time such as 2026-12-24T18:00+01:00"),
        (["--to", "2001-01-01"], "must end after it starts"),
        (["--from", "2001-01-01", "--to", "2001-01-02"], "is over already"),
    ],
)
def test_what_is_no_window_is_wrong_usage(run: CommandLine, billing: Toolset, wrong: list[str], told: str) -> None:
    ended = run("freeze", "add", "--organization", billing.project.organization.slug, "--reason", "x", *wrong)
    assert (ended.status, told in ended.err) == (2, True), ended.err
