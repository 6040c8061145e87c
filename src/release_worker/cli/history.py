"""Releases on the screen: the list, and one with all that it holds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from release_worker.cli.render import (
    count,
    exact_moment,
    facts,
    jsonable,
    listed,
    moment,
    one_line,
    say,
    several_lines,
    show_table,
    table,
)

if TYPE_CHECKING:
    from release_worker.domain.release import Release
    from release_worker.domain.subject import Subject
    from release_worker.queries.history import History, ReleaseDescription
    from release_worker.queries.releases import ListedRelease, ReleaseParts, RollbackMention

TOOLS_SHOWN = 20


def history_document(history: "History") -> dict[str, Any]:
    """What `list --json` prints."""
    releases = [
        {**_fields(one.release), "current": one.current, "tools": one.tools, "resources": one.resources}
        for one in history.releases
    ]
    return {**_toolset(history.subject), "releases": releases, "latest_rollback": jsonable(history.latest_rollback)}


def description_document(description: "ReleaseDescription") -> dict[str, Any]:
    """What `show --json` prints."""
    return {
        **_toolset(description.subject),
        **_fields(description.release),
        "current": description.current,
        "predecessor_number": description.predecessor_number,
        **jsonable(description.parts),
        "rollbacks": jsonable(description.rollbacks),
    }


def _toolset(subject: "Subject") -> dict[str, Any]:
    return {"toolset": subject.path, "toolset_id": str(subject.toolset_id)}


def _fields(release: "Release") -> dict[str, Any]:
    fields: dict[str, Any] = jsonable(release)
    fields.pop("toolset_id")
    return fields


def show_history(history: "History") -> None:
    """The table of releases, and what the newest rollback was."""
    path = history.subject.path
    if not history.releases:
        say(f"{path} has no releases yet.")
        return
    columns = ("release", "kind", "tools", "resources", "created (UTC)", "by", "notes")
    rows = (_row(one) for one in history.releases)
    show_table(table(*columns, rows=rows, elastic=("by", "notes"), right=("tools", "resources")))
    rollback = history.latest_rollback
    if rollback is not None:
        say("", f"last rollback: {_mention(rollback)}")


def _row(one: "ListedRelease") -> tuple[str | Text, ...]:
    release = one.release
    number = f"{release.release_number}{' current' if one.current else ''}"
    return (
        Text(number, style="bold green" if one.current else ""),
        release.kind,
        f"{one.tools:,}",
        f"{one.resources:,}",
        moment(release.created_at),
        one_line(release.released_by, 20),
        one_line(release.notes or ""),
    )


def show_description(description: "ReleaseDescription", *, every_tool: bool) -> None:
    """One release: where it stands, what it holds, how it came about."""
    release, parts = description.release, description.parts
    current = " (current)" if description.current else ""
    say(f"Release {release.release_number} of {description.subject.path}{current}", "")
    labels = ", ".join(f"{one_line(key, 50)}={one_line(str(value))}" for key, value in release.labels.items())
    about = [
        ("kind", release.kind),
        ("made", f"{exact_moment(release.created_at)} by {one_line(release.released_by)}"),
        ("request", release.request_id and one_line(release.request_id)),
        ("notes", release.notes and several_lines(release.notes)),
        ("labels", labels or None),
        ("predecessor", _predecessor(description)),
        ("digest", release.digest),
    ]
    show_table(facts([*about, *_holdings(parts, release.toolset_version)]))
    limit = None if every_tool else TOOLS_SHOWN
    for kind, urns in (("tools", parts.tools), ("resources", parts.resources)):
        if urns:
            more = listed(urns, limit)
            say("", f"{kind}:", *(f"  {line}" for line in more))
            if len(more) > len(urns[:limit]):
                say("  (--all lists them)")
    if description.rollbacks:
        say("", "rollbacks:", *(f"  {_mention(rollback)}" for rollback in description.rollbacks))


def _predecessor(description: "ReleaseDescription") -> str:
    number = description.predecessor_number
    return "none" if number is None else f"release {number}"


def _holdings(parts: "ReleaseParts", toolset_version: int) -> list[tuple[str, str | None]]:
    contents = f"{count(len(parts.tools), 'tool')}, {count(len(parts.resources), 'resource')}"
    return [
        ("toolset", f"version {toolset_version}: {contents}, settings"),
        ("deployment", _deployment(parts)),
        ("", f"captured from {parts.deployment_id}" if parts.deployment_id else None),
        ("system", _sizes(parts.system, {"prompts": "prompt", "config": "setting"}) or "not captured"),
        ("variations", f"organization {_variations(parts.global_variations_version, parts.global_variations)}"),
        ("", f"toolset {_variations(parts.toolset_variations_version, parts.toolset_variations)}"),
        *((f"{name}", f"digest {digest}") for name, digest in parts.plug_ins.items()),
    ]


def _deployment(parts: "ReleaseParts") -> str:
    names = {"tools": "tool definition", "resources": "resource definition", "assets": "asset"}
    return _sizes(parts.deployment, names) or ("not captured" if parts.system is None else "none")


def _sizes(sizes: Mapping[str, int] | None, names: Mapping[str, str]) -> str | None:
    if sizes is None:
        return None
    return ", ".join(count(sizes[section], noun) for section, noun in names.items())


def _variations(version: int | None, number: int) -> str:
    return "none" if version is None else f"version {version}: {count(number, 'tool')}"


def _mention(rollback: "RollbackMention") -> str:
    """`2026-11-22 08:26:40 UTC by alice: release 5 → 1, backup 6 (bad prompt)`."""
    start = "no release" if rollback.from_release_number is None else f"release {rollback.from_release_number}"
    text = f"{exact_moment(rollback.created_at)} by {one_line(rollback.rolled_back_by, 50)}: {start}"
    text += f" → {rollback.to_release_number or 'one that was pruned'}"
    if rollback.backup_release_number is not None:
        text += f", backup {rollback.backup_release_number}"
    if rollback.reason:
        text += f" ({one_line(rollback.reason, 300)})"
    return text
