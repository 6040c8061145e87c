"""The command line against real servers and a real worker: every command, what it prints, and how it ends."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from release_worker.embedded.process import eventually
from tests.support.billing import INVOICE, REFUND, SUMMARY
from tests.support.command_line import CommandLine, settings
from tests.support.live_state import live_state
from tests.support.workers import Service
from tests.support.world import Toolset, World

LONG_URN = "tools:http:github:actions_add_custom_labels_to_self_hosted_runner_for_repo"
LONG_NOTES = "Upgraded to GitHub Enterprise 3.19, with the new prompts;\nsee https://example.test/changes/2026-11-22"


def test_a_toolset_is_released_broken_rolled_back_and_unbroken(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    path = billing.path
    released = live_state(served.engine, billing)
    assert "Release 1 of" in run.as_process("release", path, "--notes", "first").out
    billing.remove_tool(REFUND)
    billing.edit(description="edited live")
    broken = live_state(served.engine, billing)

    planned = run.as_process("rollback", path, 1, "--plan")
    assert planned.status == 0
    assert "Nothing was changed." in planned.out
    assert f"tools: 1 added\n  + {REFUND}\n" in planned.out
    assert '"edited live" → "Invoices and refunds"' in planned.out
    assert f"Do it: release-worker rollback {path} --apply " in _plain(planned.out)
    assert live_state(served.engine, billing) == broken

    done = run.as_process("rollback", path, 1, "--reason", "bad edit", "--expected-current-release", 1)
    assert done.status == 0
    assert "What was live before is kept as release 2." in done.out
    assert f"Undo it: release-worker rollback {path} 2\n" in _plain(done.out)
    assert live_state(served.engine, billing) == released

    assert run.as_process("rollback", path, 2).status == 0
    assert live_state(served.engine, billing) == broken


def _plain(output: str) -> str:
    """Without the directory of the program, which is named where it is not on the path."""
    return re.sub(r"\S+/release-worker ", "release-worker ", output)


def test_the_list_shows_each_release_the_current_one_and_the_rollback(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path, "--notes", "first", "--actor", "alice")
    billing.remove_tool(REFUND)
    run("release", billing.path, "--notes", "second", "--actor", "bob")
    run("rollback", billing.path, 1, "--reason", "incident 4711", "--actor", "carol")

    heading, rollback, second, first = run("list", billing.path).out.splitlines()

    assert heading.split() == ["release", "kind", "tools", "±", "age", "by", "notes"]
    assert re.fullmatch(r"2 → 1 +rollback +\d+ s +carol +incident 4711", rollback)
    assert re.fullmatch(r"2 +release +2 +-1 +\d+ s +bob +second", second)
    assert re.fullmatch(
        r"1 current +release +3 +\+3 +\d+ s +alice +first; rolled back to by carol: incident 4711", first
    )
    assert [
        one["release_number"] for one in run("list", billing.path, "--limit", 1, "--json").document["releases"]
    ] == [2]


def test_one_release_is_shown_with_all_that_it_holds(run: CommandLine, billing: Toolset) -> None:
    options = ["--label", "build=991", "--label", "url=https://ci.test/?a=b", "--notes", LONG_NOTES, "--actor", "alice"]
    run("release", billing.path, *options)

    shown = run("show", billing.path, 1).out
    document = run("show", str(billing.id), 1, "--json").document

    assert shown.startswith(f"Release 1 of {billing.path} (current)\n")
    for text in (*LONG_NOTES.splitlines(), "by alice", "build=991", document["digest"], INVOICE, SUMMARY):
        assert text in shown
    assert "version 1: 3 tools, 2 resources, settings" in shown
    assert "2 tool definitions, 2 resource definitions, 3 assets" in shown
    assert "2 prompts, 2 settings" in shown
    assert document["labels"] == {"build": "991", "url": "https://ci.test/?a=b"}
    assert document["notes"] == LONG_NOTES
    assert document["tools"] == [INVOICE, REFUND, SUMMARY]
    assert (document["global_variations_version"], document["toolset_variations_version"]) == (1, 1)
    assert document["rollbacks"] == []


def test_a_release_that_came_from_a_rollback_says_so(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    billing.edit(description="edited live")
    billing.remove_tool(INVOICE)
    done = run("rollback", billing.path, 1, "--component", "settings", "--reason", "only the text")

    assert "Not all of it was restored: the outcome is release 3." in done.out
    for number, kind in ((1, "release"), (2, "backup"), (3, "restored")):
        shown = run("show", billing.path, number).out
        assert re.search(rf"^kind +{kind}$", shown, re.MULTILINE)
        assert "release 1 → 1, backup 2 (only the text)" in shown


def test_every_command_prints_one_json_document(run: CommandLine, billing: Toolset) -> None:
    released = run("release", billing.path, "--json").document
    assert released["release_number"] == 1
    assert released["created"]
    assert not run("release", billing.path, "--only-if-changed", "--json").document["created"]
    billing.edit(settings={"limit": 12345678901234567890, "share": 0.1})

    planned = run("rollback", billing.path, 1, "--plan", "--json")
    [change] = planned.document["changes"]["settings"]["changed"]
    assert '"limit": {"old": 12345678901234567890}' in planned.out
    assert change["fields"]["share"] == {"old": 0.1}
    assert run("rollback", billing.path, 1, "--json").document["backup_release_number"] == 2

    listed = run("requests", "list", "--toolset", billing.path, "--json").document
    assert [one["kind"] for one in listed] == ["rollback", "rollback", "create_release", "create_release"]
    assert run("requests", "show", listed[0]["id"], "--json").document == listed[0]
    assert run("db", "check", "--json").document["ok"]
    assert run("db", "upgrade", "--json").document["before"] == run("db", "check", "--json").document["needed"]


def test_a_request_need_not_be_waited_for(run: CommandLine, billing: Toolset) -> None:
    accepted = run("release", billing.path, "--no-wait", "--idempotency-key", "build-991", "--json").document
    again = run("release", billing.path, "--idempotency-key", "build-991", "--json").document

    shown = run("requests", "show", accepted["request_id"]).out

    assert again["release_number"] == 1
    assert re.search(r"^status +succeeded$", shown, re.MULTILINE)
    assert "Release 1 of" in shown
    assert (
        run("requests", "list", "--toolset", billing.path, "--status", "failed").out == "There are no such requests.\n"
    )


def _statuses(run: CommandLine, billing: Toolset) -> list[str]:
    return [one["status"] for one in run("requests", "list", "--toolset", billing.path, "--json").document]


def test_without_a_database_the_result_comes_through_the_result_backend(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    asking = CommandLine(settings(broker_url=served.broker_url, result_backend=served.broker_url))
    assert asking("release", billing.path, "--json").document["release_number"] == 1
    assert asking("rollback", billing.path, 1).out.startswith("Nothing to do: ")
    assert asking("rollback", billing.path, 9).err.startswith(f"error: toolset {billing.path} has no release 9\n")

    only_asking = CommandLine(settings(broker_url=served.broker_url))
    assert "or use --no-wait" in only_asking("release", billing.path).err
    assert _statuses(run, billing) == ["failed", "succeeded", "succeeded"]
    request_id = only_asking("release", billing.path, "--no-wait", "--json").document["request_id"]
    assert eventually(lambda: request_id in run("requests", "list", "--status", "succeeded").out, within=30)


@pytest.mark.parametrize("columns", [80, 100])
def test_tables_fit_the_terminal(run: CommandLine, served: Service, columns: int) -> None:
    project = (
        World(served.engine).organization(f"an-organization-{uuid4().hex}").project("payments-and-billing-in-europe")
    )
    project.deploy(tools={LONG_URN: {"description": "long " * 40}})
    toolset = project.toolset("the-toolset-of-the-customer-portal", tools=[LONG_URN])
    toolset.edit(description="x" * 500)
    narrow = CommandLine(run.environment, columns)
    actor = "a-very-long-service-account-name@continuous-integration.example.test"
    narrow("release", toolset.path, "--notes", f"{LONG_NOTES} 漢字 {'x' * 300}", "--actor", actor)
    toolset.edit(description="x" * 400 + "y", name="漢" * 60)
    narrow("release", toolset.path, "--label", f"long={'y' * 300}")
    narrow("rollback", toolset.path, 7)

    assert _widest(narrow("list", toolset.path).out) <= columns
    assert narrow("requests", "list", "--toolset", toolset.path).widest <= columns
    for number in (1, 2):
        assert _widest(narrow("show", toolset.path, number).out.split("tools:\n")[0].partition("\n")[2]) <= columns
    for request in narrow("requests", "list", "--toolset", toolset.path, "--json").document:
        assert _widest(narrow("requests", "show", request["id"]).out.partition("\n\n")[0]) <= columns
    changed = narrow("rollback", toolset.path, 1, "--plan").out.split("\n\n")[1]
    assert "…" in changed
    assert _widest(changed) <= columns


def _widest(text: str) -> int:
    """In columns: the letters of this test's names are two wide."""
    return max(len(line) + sum(ord(letter) > 0x2E80 for letter in line) for line in text.splitlines())


def test_what_is_printed_cannot_steer_the_terminal(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    billing.edit(description="\x1b[31mred\x1b[0m")
    billing.add_tool("tools:function:\x1b]0;title\x07", 9)

    assert "\x1b" not in run("rollback", billing.path, 1, "--plan").out
    run("release", billing.path)
    assert "\x1b" not in run("show", billing.path, 2).out
    assert r"\x1b]0;title\x07" in run("show", billing.path, 2).out


def test_a_long_list_of_tools_is_cut_short_unless_all_are_asked_for(run: CommandLine, served: Service) -> None:
    project = World(served.engine).organization(f"acme-{uuid4().hex[:8]}").project("payments")
    urns = [f"tools:function:billing:tool_{number:04}" for number in range(1000)]
    toolset = project.toolset("billing", tools=urns)
    run("release", toolset.path)
    for urn in urns[:40]:
        toolset.remove_tool(urn)

    assert "  … and 980 more\n" in run("show", toolset.path, 1).out
    assert urns[-1] in run("show", toolset.path, 1, "--all").out
    assert "  + … and 30 more\n" in run("rollback", toolset.path, 1, "--plan").out
    assert f"  + {urns[39]}\n" in run("rollback", toolset.path, 1, "--plan", "--all").out


def test_the_program_works_from_any_directory(run: CommandLine, billing: Toolset, tmp_path: Path) -> None:
    (tmp_path / "celery.py").write_text("raise SystemExit('shadowed')")

    assert run.as_process("release", billing.path, directory=tmp_path).status == 0
