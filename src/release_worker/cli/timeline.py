"""`list`: a toolset's history as a timeline of releases and rollbacks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from release_worker.cli.options import AsJson, Organization, ToolsetArgument
from release_worker.cli.render import (
    age,
    command_line,
    exact_moment,
    jsonable,
    one_line,
    print_json,
    say,
    show_table,
    table,
)

if TYPE_CHECKING:
    from release_worker.domain.release import Release
    from release_worker.domain.subject import Subject
    from release_worker.queries.history import History
    from release_worker.queries.releases import RollbackMention
    from release_worker.queries.timeline import ListedRelease

STYLES = {"bad": "red", "good": "green"}


class Kind(StrEnum):
    """What stands in a timeline."""

    RELEASE = "release"
    BACKUP = "backup"
    RESTORED = "restored"
    ROLLBACK = "rollback"


_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Limit = Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many releases, from the newest.")]
Before = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only what came before release N, to read on.")]
ByActor = Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Only what this one did.")]
OfKind = Annotated[list[Kind] | None, typer.Option(help="Only these; may be repeated.")]
Labelled = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY[=VALUE]", help="Only releases with this label; may be repeated."),
]
Since = Annotated[datetime | None, typer.Option(formats=_TIMES, help="Only from this time on, UTC.")]
Until = Annotated[datetime | None, typer.Option(formats=_TIMES, help="Only before this time, UTC.")]


def list_releases(
    toolset: ToolsetArgument,
    limit: Limit = 20,
    before: Before = None,
    actor: ByActor = None,
    kind: OfKind = None,
    label: Labelled = None,
    since: Since = None,
    until: Until = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """List a toolset's releases and rollbacks, the newest first, and what came of each.

    Example: release-worker list acme/payments/billing --label build --since 2026-11-01
    """
    from release_worker.queries.history import release_history
    from release_worker.queries.reading import reading
    from release_worker.queries.timeline import Chosen
    from release_worker.settings import read_settings

    chosen = Chosen(
        before=before,
        actor=actor,
        kinds=[one.value for one in kind or ()],
        labels=dict(_label(one) for one in label or ()),
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
    )
    with reading(read_settings().database) as connection:
        history = release_history(connection, toolset, limit=limit, chosen=chosen, organization=organization)
    if as_json:
        print_json(_document(history))
    else:
        _show(history, now=datetime.now(UTC), everything=chosen == Chosen())


def _label(given: str) -> tuple[str, str | None]:
    key, equals, value = given.partition("=")
    if not key:
        raise typer.BadParameter(f"{given!r} is not of the form KEY or KEY=VALUE", param_hint="--label")
    return key, value if equals else None


def _document(history: "History") -> dict[str, Any]:
    line = history.timeline
    return {
        **toolset_fields(history.subject),
        "releases": [_listed(one) for one in line.releases],
        "rollbacks": jsonable(line.rollbacks),
        "latest_rollback": jsonable(history.latest_rollback),
        "next_before": line.next_before,
    }


def toolset_fields(subject: "Subject") -> dict[str, Any]:
    """Which toolset a document is about."""
    return {"toolset": subject.path, "toolset_id": str(subject.toolset_id)}


def release_fields(release: "Release") -> dict[str, Any]:
    """A release in a document that says whose it is."""
    fields: dict[str, Any] = jsonable(release)
    fields.pop("toolset_id")
    return fields


def _listed(one: "ListedRelease") -> dict[str, Any]:
    fields: dict[str, Any] = jsonable(one)
    return {**release_fields(one.release), **{name: value for name, value in fields.items() if name != "release"}}


def _show(history: "History", *, now: datetime, everything: bool) -> None:
    path, line = history.subject.path, history.timeline
    if not line.releases and not line.rollbacks:
        say(f"{path} has no releases yet." if everything else f"{path} has none of these.")
        return
    columns = ("release", "kind", "tools", "±", "age", "by", "notes")
    rows = (row for _, row in sorted(_rows(history, now), key=lambda one: one[0], reverse=True))
    show_table(table(*columns, rows=rows, elastic=("by", "notes"), right=("tools", "age")))
    if line.next_before is not None and line.next_before > 1:
        say("", f"Read on: {command_line('list', path, '--before', line.next_before)}")


Row = tuple[str | Text, ...]


def _rows(history: "History", now: datetime) -> Iterator[tuple[datetime, Row]]:
    """Each with its time; a rollback comes after the releases that it made."""
    for release in history.timeline.releases:
        yield release.release.created_at, _release_row(release, now)
    for rollback in history.timeline.rollbacks:
        yield rollback.created_at, _rollback_row(rollback, now)


def _release_row(one: "ListedRelease", now: datetime) -> Row:
    release = one.release
    words = ("current" if one.current else None, one.mark, "pinned" if one.pinned else None)
    style = "bold green" if one.current else STYLES.get(one.mark or "", "")
    return (
        Text(" ".join([str(release.release_number), *(word for word in words if word)]), style=style),
        release.kind,
        f"{one.tools:,}",
        " ".join(f"{sign}{n:,}" for sign, n in (("+", one.tools_added), ("-", one.tools_removed)) if n),
        age(release.created_at, now),
        one_line(release.released_by, 20),
        one_line("; ".join(_remarks(one)), 400),
    )


def _remarks(one: "ListedRelease") -> Iterator[str]:
    """Notes, what came of it, and labels."""
    if one.release.notes:
        yield one.release.notes
    if one.override_freeze:
        yield f"freeze overridden: {one.override_freeze}"
    if one.rolled_back_to:
        last = one.rolled_back_to[0]
        times = "" if len(one.rolled_back_to) == 1 else f" {len(one.rolled_back_to):,} times, last"
        yield f"rolled back to{times} by {last.rolled_back_by}{f': {last.reason}' if last.reason else ''}"
    labels = [f"{key}={value}" for key, value in one.release.labels.items() if key != "pinned"]
    if labels:
        yield " ".join(labels)


def _rollback_row(one: "RollbackMention", now: datetime) -> Row:
    backup = f"backup {one.backup_release_number}" if one.backup_release_number else ""
    overridden = f"freeze overridden: {one.override_freeze}" if one.override_freeze else ""
    remarks = "; ".join(part for part in (one.reason, backup, overridden) if part)
    way = f"{one.from_release_number or 'none'} → {one.to_release_number or '?'}"
    return way, "rollback", "", "", age(one.created_at, now), one_line(one.rolled_back_by, 20), one_line(remarks, 400)


def rollback_line(rollback: "RollbackMention") -> str:
    """`2026-11-22 08:26:40 UTC by alice: release 5 → 1, backup 6 (bad prompt)`."""
    start = "no release" if rollback.from_release_number is None else f"release {rollback.from_release_number}"
    text = f"{exact_moment(rollback.created_at)} by {one_line(rollback.rolled_back_by, 50)}: {start}"
    text += f" → {rollback.to_release_number or 'one that was pruned'}"
    if rollback.backup_release_number is not None:
        text += f", backup {rollback.backup_release_number}"
    if rollback.reason:
        text += f" ({one_line(rollback.reason, 300)})"
    if rollback.override_freeze:
        text += f", freeze overridden: {one_line(rollback.override_freeze, 300)}"
    return text
