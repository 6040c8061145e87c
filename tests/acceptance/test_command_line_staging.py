"""`staging`, `mode`, `export` and `import` against real servers and a real worker."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from release_worker.store.engine import make_engine
from tests.support.billing import REFUND, a_full_toolset, edit_everything
from tests.support.command_line import CommandLine
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.servers import Servers
from tests.support.staging import living_copies
from tests.support.workers import Service
from tests.support.world import Toolset, World


def copy_named_by(document: dict[str, str], toolset: Toolset) -> Toolset:
    """The copy that a command printed, as apps see it."""
    return Toolset(toolset.rows, UUID(document["toolset_id"]), toolset.project, document["path"].rpartition("/")[2])


def test_a_toolset_is_staged_compared_published_and_staged_again(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    run("release", billing.path)
    made = run.as_process("staging", "create", billing.path)
    assert made.status == 0
    assert re.search(rf"^The staged copy of {billing.path} is made: edit {billing.path}-staging-", made.out)
    created = run("staging", "create", billing.path, "--json").document
    assert created["parent_toolset_id"] == str(billing.id)
    assert not created["created"]

    same = run("staging", "diff", billing.path)
    assert (same.status, same.err) == (0, "")
    assert same.out.startswith("Nothing differs: ")

    copy = copy_named_by(created, billing)
    copy.remove_tool(REFUND)
    differs = run.as_process("staging", "diff", billing.path)
    assert differs.status == 3
    assert f"tools: 1 removed\n  - {REFUND}\n" in differs.out
    shown = run("staging", "diff", billing.path, "--json")
    assert shown.status == 3
    document = json.loads(shown.out)
    assert document["changes"] == {"tools": {"added": [], "removed": [REFUND], "changed": []}}
    assert {name: document[name] for name in ("toolset_id", "from", "to", "same", "staged_path")} == {
        "toolset_id": str(billing.id), "from": "live", "to": "staged", "same": False, "staged_path": created["path"],
    }  # fmt: skip

    published = run("staging", "publish", billing.path, "--notes", "one tool less", "--json").document
    assert (published["release_number"], published["created"], published["discarded"]) == (2, True, True)
    assert REFUND not in live_state(served.engine, billing)["tools"]
    assert living_copies(served.engine, billing) == []


def test_publishing_says_what_became_of_what_was_live_and_of_the_copy(run: CommandLine, billing: Toolset) -> None:
    run("staging", "create", billing.path)
    billing.edit(description="edited live")
    done = run.as_process("staging", "publish", billing.path)
    assert done.status == 0
    assert f"Release 2 of {billing.path} was made, and is current.\n" in done.out
    assert "What was live before is kept as release 1.\nThe staged copy is deleted.\n" in done.out
    assert f"rollback {billing.path} 1\n" in done.out.partition("Undo it:")[2]


def test_in_staging_mode_the_copy_stays(run: CommandLine, served: Service, billing: Toolset) -> None:
    assert run.as_process("mode", billing.path, "staging").out == f"{billing.path} is in staging mode.\n"
    created = run("staging", "create", billing.path, "--json").document
    assert run("staging", "publish", billing.path).out.endswith("The staged copy stays for the next edits.\n")
    assert [str(one) for one in living_copies(served.engine, billing)] == [created["toolset_id"]]
    document = run("mode", billing.path, "iteration", "--json").document
    assert document == {"toolset_id": str(billing.id), "mode": "iteration"}


def test_discarding_deletes_the_copy_and_a_second_time_there_is_none(
    run: CommandLine, served: Service, billing: Toolset
) -> None:
    before = live_state(served.engine, billing)
    created = run("staging", "create", billing.path, "--json").document
    discarded = run.as_process("staging", "discard", billing.path)
    assert discarded.out == f"The staged copy of {billing.path} is deleted: {created['path']}\n"
    for command in ("discard", "diff", "publish"):
        refused = run("staging", command, billing.path)
        assert (refused.status, refused.out) == (1, "")
        assert f"error: toolset {billing.path} has no staged copy\n" in refused.err
    assert live_state(served.engine, billing) == before


def test_a_copy_is_not_staged(run: CommandLine, billing: Toolset) -> None:
    created = run("staging", "create", billing.path, "--json").document
    refused = run("staging", "create", created["path"])
    assert refused.status == 2
    assert "is a staged copy itself; name the toolset that it is a copy of" in refused.err


def test_a_release_is_carried_to_another_toolset_in_a_file_that_only_its_owner_may_read(
    run: CommandLine, served: Service, billing: Toolset, tmp_path: Path
) -> None:
    run("release", billing.path)
    released = live_state(served.engine, billing)
    file = tmp_path / "billing.json"
    exported = run.as_process("export", billing.path, 1, str(file))
    assert exported.status == 0
    assert "It holds every value as it is, secrets too.\n" in exported.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["billing.json"]
    document = run("export", billing.path, 1, str(file), "--json").document
    assert document == {"file": str(file), "release_number": 1, "digest": json.loads(file.read_text())["digest"]}

    project = World(served.engine).organization(f"org-{uuid4().hex[:12]}").project("shop")
    empty = project.toolset("checkout")
    imported = run.as_process("import", str(file), "--into", empty.path)
    assert imported.status == 0
    assert "What was live before is kept as release 1.\n" in imported.out
    assert live_state(served.engine, empty) == released

    edit_everything(empty)
    again = run("import", str(file), "--into", empty.path, "--json").document
    assert (again["toolset_id"], again["digest"]) == (str(empty.id), document["digest"])
    assert (again["release_number"], again["backup_release_number"]) == (2, 3)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda text: text[: len(text) // 2], "this is not a bundle of release-worker: it is not JSON; perhaps"),
        (lambda _: '{"some": "file"}', "this is not a bundle of release-worker: its format is not"),
        (lambda text: text.replace('"timeout": 30', '"timeout": 31'), "content of settings in the bundle"),
    ],
    ids=["cut off", "another file", "changed"],
)
def test_a_file_that_is_no_whole_bundle_is_refused_before_anything_is_asked(
    run: CommandLine, served: Service, billing: Toolset, tmp_path: Path, spoil: Callable[[str], str], complaint: str
) -> None:
    run("release", billing.path)
    file = tmp_path / "billing.json"
    run("export", billing.path, 1, str(file))
    file.write_text(spoil(file.read_text()))
    refused = run("import", str(file), "--into", billing.path)
    assert (refused.status, refused.out) == (1, "")
    assert complaint in refused.err
    assert "Traceback" not in refused.err
    assert len(run("requests", "list", "--toolset", billing.path, "--json").document) == 1


def test_a_file_that_is_not_there_or_cannot_be_written_is_wrong_usage(
    run: CommandLine, billing: Toolset, tmp_path: Path
) -> None:
    run("release", billing.path)
    for words in (
        ["import", str(tmp_path / "none.json"), "--into", billing.path],
        ["export", billing.path, "1", str(tmp_path / "none" / "billing.json")],
    ):
        refused = run(*words)
        assert (refused.status, refused.out) == (2, "")
        assert len(refused.err.splitlines()) == 1


def test_a_release_of_another_database_is_imported(
    run: CommandLine, served: Service, servers: Servers, billing: Toolset, tmp_path: Path
) -> None:
    """Exported from a database that has no worker: a bundle is only read there."""
    file = tmp_path / "theirs.json"
    with servers.databases.temporary() as url:
        other = make_engine(url)
        theirs = a_full_toolset(other)
        theirs.edit(description="From another database")
        digest = release(other, theirs).digest
        elsewhere = CommandLine({**run.environment, "RELEASE_WORKER_DATABASE_URL": url})
        assert elsewhere("export", theirs.path, 1, str(file)).status == 0
        wanted = live_state(other, theirs)
        other.dispose()
    assert run("import", str(file), "--into", billing.path, "--json").document["digest"] == digest
    assert live_state(served.engine, billing) == wanted


def test_the_printed_way_back_from_an_import_works_although_it_reaches_other_toolsets(
    run: CommandLine, served: Service, billing: Toolset, tmp_path: Path
) -> None:
    billing.project.toolset("neighbour", tools=[REFUND])
    file = tmp_path / "billing.json"
    run("release", billing.path)
    run("export", billing.path, 1, str(file))
    edit_everything(billing)
    edited = live_state(served.engine, billing)
    imported = run("import", str(file), "--into", billing.path, "--allow-shared-impact")
    assert f"{billing.path} is again as its current release 1, so that no new release was needed." in imported.out
    assert f"warning: changes what {billing.path.rpartition('/')[0]}/neighbour serves" in imported.out
    [way_back] = re.findall(r"Undo it: \S*release-worker (.*)", imported.out)
    assert run(*way_back.split()).status == 0
    assert live_state(served.engine, billing) == edited
