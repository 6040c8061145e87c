"""`doctor`: what is wrong with a deployment, and what to do about it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson
from release_worker.cli.render import one_line, print_json, say

if TYPE_CHECKING:
    from release_worker.doctor.finding import Check, Finding

STYLES = {"ok": "green", "warning": "yellow", "wrong": "red", "unknown": "dim"}
_LONGEST = 2_000  # columns of a line


class Group(StrEnum):
    """Whose rights the connected role needs."""

    WORKER = "worker"
    APP = "app"
    READER = "reader"
    CALLER = "caller"


def doctor(
    group: Annotated[
        Group | None,
        typer.Option(
            "--as",
            help="Whose rights the role in RELEASE_WORKER_DATABASE_URL needs.",
            show_default="those of the group that it is in, or a worker's",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for what does not answer.")
    ] = 15.0,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a deployment, and what to do about it.

    Looks at versions, PostgreSQL, its schema and the rights of the connected role, the broker and its settings, clocks,
    workers, queues and requests; changes nothing. Each check stands by itself, so it works if half of it is down. Exit
    status 1 if something is wrong; warnings do not fail.

    Example: release-worker doctor
    """
    from release_worker.doctor.deployment import Deployment
    from release_worker.doctor.examination import examine, fails
    from release_worker.settings import read_settings

    deployment = Deployment(read_settings(), group=None if group is None else f"release_worker_{group.value}")
    found = examine(deployment, within=timeout)
    failed = fails(finding for findings in found.values() for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": _listed(found)})
    else:
        _show(found)
    if failed:
        raise typer.Exit(FAILED)


def _listed(found: "Mapping[Check, Sequence[Finding]]") -> list[dict[str, object]]:
    return [
        {
            "check": check.name,
            "group": check.group,
            "level": finding.level.value,
            "found": finding.found,
            "remedy": finding.remedy,
        }
        for check, findings in found.items()
        for finding in findings
    ]


def _show(found: "Mapping[Check, Sequence[Finding]]") -> None:
    for group, checks in groupby(found.items(), key=lambda one: one[0].group):
        say(f"{group}:")
        for _, findings in checks:
            for finding in findings:
                say(_line(finding))


def _line(finding: "Finding") -> Text:
    remedy = f". {finding.remedy}" if finding.remedy is not None else ""
    found = finding.found.rstrip(".") if remedy else finding.found  # servers end what they say with full stops
    return Text.assemble(
        "  ", (f"{finding.level.value:<8}", STYLES[finding.level.value]), one_line(found + remedy, _LONGEST)
    )
