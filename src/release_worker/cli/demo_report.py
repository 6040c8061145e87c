"""The demo's tables: no wider than 100 columns, and as readable without colours."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from release_worker.cli.render import table
from release_worker.demo.counts import HOWS, recorded
from release_worker.demo.progress import mark
from release_worker.demo.report import Report
from release_worker.domain.requests.rollback import RollbackResult

DIGEST_LENGTH = 12


def plan_table(plan: RollbackResult) -> Padding:
    """What a rollback would do, with an example of each, to stand below its step."""
    rows: list[Sequence[str]] = []
    for section, counts in recorded(plan.changes).items():
        component, _, prefix = section.partition("/")
        example = next(key for key in plan.changes[component].keys if key.startswith(prefix))
        rows.append([section, *(_number(counts[how]) for how in HOWS), example.removeprefix(f"{prefix}/")])
    return Padding(table("", *HOWS, "for example", rows=rows, elastic=["for example"], right=HOWS), (0, 0, 0, 4))


def print_report(console: Console, report: Report) -> None:
    """The timeline, the counts and the claims; those that do not hold once more, in full."""
    for title, made in (
        ("Releases of the toolset", _timeline(report)),
        ("What the rollbacks removed, added and changed", _counts(report)),
        ("What was checked against the rows themselves", _claims(console, report)),
    ):
        console.print(f"\n{title}", style="bold")
        console.print(made)
    wrong = [check for check in report.checks if not check.ok]
    console.print()
    for check in wrong:
        was = f"expected {_full(check.expected)}, found {_full(check.found)}"
        console.print(f"Not so ({check.when}): {check.claim}: {was}", soft_wrap=True)
    holding, all_claims = len(report.checks) - len(wrong), len(report.checks)
    console.print(f"{holding} of {all_claims} claims hold. {report.seconds:.1f} s in all.")


def _timeline(report: Report) -> Table:
    rows = [
        [
            str(line.release_number),
            line.kind,
            str(line.tools),
            line.digest[:DIGEST_LENGTH],
            "<- current" if line.current else "",
            line.notes or "",
        ]
        for line in report.timeline
    ]
    columns = ("number", "kind", "tools", "digest", "", "note")
    return table(*columns, rows=rows, elastic=["note"], right=["number", "tools"])


def _counts(report: Report) -> Table:
    ways = [f"{line.from_release_number} -> {line.to_release_number}" for line in report.rollbacks]
    columns = [f"{way}\n{how}" for way in ways for how in HOWS]
    sections = sorted({section for line in report.rollbacks for section in line.counts})
    rows = [
        [section, *(_number(line.counts.get(section, {}).get(how, 0)) for line in report.rollbacks for how in HOWS)]
        for section in sections
    ]
    return table("", *columns, rows=rows, elastic=[], right=columns)


def _claims(console: Console, report: Report) -> Table:
    rows: list[Sequence[str | Text]] = [
        [mark(console, ok=check.ok), check.when, check.claim, _value(check.found)] for check in report.checks
    ]
    return table("", "when", "claim", "found", rows=rows, elastic=["found"])


def _number(count: int) -> str:
    return str(count) if count else "-"


def _value(value: Any) -> str:
    """Short: of a digest, the beginning."""
    text = _full(value)
    return text[:DIGEST_LENGTH] if isinstance(value, str) and len(text) == 64 else text


def _full(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_full, value)) or "none"
    return "none" if value is None else str(value)
