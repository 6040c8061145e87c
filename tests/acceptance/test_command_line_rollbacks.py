"""`rollback` with a plan, by words, in a terminal; `repair`; `mark`: against a real worker."""

import os
import pty
import re
import subprocess
from contextlib import suppress
from dataclasses import replace

from tests.support.billing import REFUND
from tests.support.command_line import PROGRAM, CommandLine
from tests.support.live_state import live_state
from tests.support.workers import Service
from tests.support.world import Toolset


def test_a_plan_is_applied_by_its_id_and_refused_when_something_has_moved(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    run("release", billing.path)
    released = live_state(served.engine, billing)
    billing.remove_tool(REFUND)

    planned = run.as_process("rollback", billing.path, 1, "--plan", "--json").document
    shown = run("rollback", billing.path, 1, "--plan").out

    assert (planned["dry_run"], planned["refused"], planned["affected"]) == (True, None, [])
    assert planned["missing"] == {"tools": [], "resources": []}
    assert re.search(r"Do it: \S*release-worker rollback \S+ --apply [0-9a-f-]{36}\n", shown)
    billing.edit(description="edited meanwhile")
    stale = run("rollback", billing.path, "--apply", planned["plan_id"])
    assert stale.status == 1
    assert stale.err.startswith(f"error: plan {planned['plan_id']} no longer holds: settings moved since\n")

    again = run("rollback", billing.path, 1, "--plan", "--json").document
    done = run.as_process("rollback", billing.path, "--apply", again["plan_id"], "--reason", "bad edit")
    assert done.status == 0, done.err
    assert live_state(served.engine, billing) == released


def test_a_plan_that_would_be_refused_shows_its_diff_whom_it_affects_and_why(
    run: CommandLine, billing: Toolset
) -> None:
    run("release", billing.path)
    neighbour = billing.project.toolset("neighbour")
    billing.project.configure("later", 1)

    planned = run("rollback", billing.path, 1, "--plan")

    assert planned.status == 1
    assert "system: 1 removed\n  - config/later\n" in planned.out
    assert f"Other toolsets that would serve something else: 1\n  {neighbour.path}: system\n" in planned.out
    assert "Would be refused: the rollback would change what other toolsets serve" in planned.out
    assert "--allow-shared-impact does it all the same" in planned.out
    assert "Do it:" not in planned.out
    document = run("rollback", billing.path, 1, "--plan", "--json")
    assert document.status == 1
    assert '"refused": {' in document.out.replace('"refused":{', '"refused": {')


def test_a_toolset_goes_to_its_previous_release_and_back_by_words(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    billing.edit(settings={"number": 2})
    run("release", billing.path)
    assert run("rollback", billing.path, "--previous", "--json").document["to_release_number"] == 1
    assert run("rollback", billing.path, "--undo", "--json").document["to_release_number"] == 2
    assert run("mark", billing.path, 1, "bad", "--reason", "twice", "--json").document["mark"] == "bad"
    none = run("rollback", billing.path, "--to-last-good")
    assert (none.status, "not marked bad" in none.err) == (1, True)
    refused = run("rollback", billing.path, 1)
    assert refused.status == 1
    assert refused.err.startswith(f"error: release 1 of {billing.path} is marked bad\n")
    assert "--allow-bad goes there all the same." in refused.err
    assert run("rollback", billing.path, 1, "--force").status == 0


def test_exactly_one_target_must_be_named(run: CommandLine, billing: Toolset) -> None:
    with_a_plan = ["--apply", "x"]
    for arguments in (
        [],
        [1, "--previous"],
        ["--undo", "--previous"],
        [*with_a_plan, "--plan"],
        [*with_a_plan, "--component", "settings"],
        [*with_a_plan, "--expected-current-release", 7],
        [*with_a_plan, "--allow-shared-impact"],
    ):
        wrong = run("rollback", billing.path, *arguments)
        assert wrong.status == 2
        assert wrong.err.startswith("error: ")


def test_repair_puts_live_state_back(run: CommandLine, served: Service, billing: Toolset) -> None:
    run("release", billing.path)
    released = live_state(served.engine, billing)
    billing.edit(description="by hand")
    done = run("repair", billing.path, "--reason", "by hand")
    assert done.status == 0
    assert "What was live before is kept as release 2." in done.out
    assert live_state(served.engine, billing) == released


def test_in_a_terminal_the_plan_is_shown_first_and_nothing_is_done_without_a_yes(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    run("release", billing.path)
    released = live_state(served.engine, billing)
    billing.remove_tool(REFUND)
    edited = live_state(served.engine, billing)

    no = in_a_terminal(run, "n\n", "rollback", billing.path, "1")
    assert f"+ {REFUND}" in no
    assert "Do it? [y/N]" in no
    assert live_state(served.engine, billing) == edited

    yes = in_a_terminal(run, "y\n", "rollback", billing.path, "1")
    assert "Rolled back" in yes
    assert live_state(served.engine, billing) == released


def test_in_a_terminal_repair_asks_too_and_its_plan_can_be_seen_alone(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    run("release", billing.path)
    released = live_state(served.engine, billing)
    billing.edit(description="by hand")
    edited = live_state(served.engine, billing)
    assert "settings: 1 changed" in run("repair", billing.path, "--plan").out
    assert "Nothing was changed." in in_a_terminal(run, "n\n", "repair", billing.path)
    assert live_state(served.engine, billing) == edited
    in_a_terminal(run, "y\n", "repair", billing.path)
    assert live_state(served.engine, billing) == released


def test_who_waits_in_vain_for_a_plan_is_told_that_nothing_will_be_rolled_back(
    nobody_works: CommandLine, billing: Toolset
) -> None:
    waited = nobody_works("rollback", billing.path, 1, "--plan", "--timeout", 0.2)
    assert waited.status == 4
    assert "Only the plan is kept and will be made: nothing will be rolled back." in waited.err


def test_in_a_narrow_terminal_ids_of_requests_stay_whole(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    run("rollback", billing.path, "--undo")
    ids = [one["id"] for one in run("requests", "list", "--toolset", billing.path, "--json").document]
    narrow = replace(run, columns=80)
    seen = in_a_terminal(narrow, "", "requests", "list", "--toolset", billing.path)
    assert len(ids) == 2
    assert all(one in seen for one in ids)
    assert "rollback to undo" in seen
    assert max(map(len, seen.splitlines())) <= 80


def in_a_terminal(run: CommandLine, answer: str, *arguments: str) -> str:
    """What a person sees who gives this answer."""
    person, terminal = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *arguments], env={**run.variables, "TERM": "dumb"}, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        seen = b""
        with suppress(OSError):  # the end of a terminal
            while chunk := os.read(person, 4096):
                seen += chunk
                if b"[y/N]" in seen and answer:
                    os.write(person, answer.encode())
                    answer = ""
        process.wait(60)
    os.close(person)
    return seen.decode().replace("\r\n", "\n")
