"""Every command that takes `--organization` means the organization of this id by an id, and by other text its slug."""

from pathlib import Path

import pytest

from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine
from tests.support.workers import Service
from tests.support.world import Toolset

COMMANDS = {
    "release": ["release", "{path}"],
    "release of a project": ["release", "--project", "{project}"],
    "rollback": ["rollback", "{path}", "1", "--plan"],
    "list": ["list", "{path}"],
    "show": ["show", "{path}", "1"],
    "pin": ["pin", "{path}", "1"],
    "unpin": ["unpin", "{path}", "1"],
    "repair": ["repair", "{path}"],
    "mark": ["mark", "{path}", "1", "bad", "--reason", "it is"],
    "staging create": ["staging", "create", "{path}"],
    "staging discard": ["staging", "discard", "{path}"],
    "staging diff": ["staging", "diff", "{path}"],
    "staging publish": ["staging", "publish", "{path}"],
    "mode": ["mode", "{path}", "staging"],
    "export": ["export", "{path}", "1", "{file}"],
    "prune": ["prune", "{path}", "--keep", "9"],
    "requests list of a toolset": ["requests", "list", "--toolset", "{path}"],
    "requests show": ["requests", "show", "{failed}"],
    "requests retry": ["requests", "retry", "{failed}"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_slug_that_is_anothers_id_opens_nothing(
    served: Service, run: CommandLine, billing: Toolset, tmp_path: Path, command: str
) -> None:
    """The impostor's slug is the id of an organization that has a toolset of its own."""
    impostor = a_full_toolset(served.engine, organization=str(billing.project.organization.id))
    for toolset in (billing, impostor):
        caller, other = (str(one.project.organization.id) for one in (toolset, _other(toolset, billing, impostor)))
        assert run("release", toolset.path).status == 0
        assert run("staging", "create", toolset.path).status == 0
        run("rollback", toolset.path, 99)
        failed = run("requests", "list", "--toolset", toolset.path, "--status", "failed", "--json").document[0]["id"]
        file = str(tmp_path / "bundle.json")
        named = {"path": toolset.path, "project": toolset.path.rpartition("/")[0], "failed": failed, "file": file}
        words = [word.format(**named) for word in COMMANDS[command]]

        refused = run(*words, "--organization", other)
        assert (refused.status, refused.out) == (1, "")
        assert refused.err.startswith("error: there is no ")
        assert run(*words, "--organization", caller).status == 0


def test_requests_are_listed_of_the_organization_that_is_named(
    served: Service, run: CommandLine, billing: Toolset
) -> None:
    impostor = a_full_toolset(served.engine, organization=str(billing.project.organization.id))
    for toolset in (billing, impostor):
        run("release", toolset.path)
    for toolset in (billing, impostor):
        owner = str(toolset.project.organization.id)
        listed = run("requests", "list", "--organization", owner, "--json").document
        assert [row["toolset_id"] for row in listed] == [str(toolset.id)]


def _other(toolset: Toolset, *both: Toolset) -> Toolset:
    return next(one for one in both if one is not toolset)
