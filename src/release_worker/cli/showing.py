"""`show`: one release with all that it holds, what was said of it and how it came about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_worker.cli.options import AsJson, NumberArgument, Organization, ToolsetArgument
from release_worker.cli.render import (
    count,
    exact_moment,
    facts,
    jsonable,
    listed,
    one_line,
    print_json,
    say,
    several_lines,
    show_table,
)
from release_worker.cli.timeline import release_fields, rollback_line, toolset_fields

if TYPE_CHECKING:
    from release_worker.queries.contents import Contents
    from release_worker.queries.history import ReleaseDescription
    from release_worker.queries.releases import MarkMention, ReleaseParts

TOOLS_SHOWN = 20
_LONGEST_ITEM = 1_000_000

Components = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        "--components",
        metavar="NAME",
        help="Show the content of this too; may be repeated, or several joined by commas.",
    ),
]


def show_release(
    toolset: ToolsetArgument,
    number: NumberArgument,
    component: Components = None,
    all_tools: Annotated[bool, typer.Option("--all", help="List every tool, not only the first ones.")] = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about one release: what it holds, what was said of it, how it came about.

    Example: release-worker show acme/payments/billing 41 --component settings
    """
    from release_worker.queries.contents import contents_of
    from release_worker.queries.history import describe_release
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.state.registry import installed_components

    settings = read_settings()
    names = list(dict.fromkeys(name for given in component or () for name in given.split(",")))
    with reading(settings.database) as connection:
        description = describe_release(connection, toolset, number, organization=organization)
        components = installed_components(settings.secrets)
        contents = contents_of(connection, description.release, components, names)
    if as_json:
        print_json({**_document(description), **({"contents": contents} if names else {})})
    else:
        _show_description(description, every_tool=all_tools)
        _show_contents(contents)


def _document(description: "ReleaseDescription") -> dict[str, Any]:
    """What `show --json` prints."""
    return {
        **toolset_fields(description.subject),
        **release_fields(description.release),
        "current": description.current,
        "predecessor_number": description.predecessor_number,
        **jsonable(description.parts),
        "rollbacks": jsonable(description.rollbacks),
        "mark": description.marks[0].mark if description.marks else None,
        "marks": jsonable(description.marks),
        "pinned": description.release.labels.get("pinned") is True,
        "override_freeze": description.override_freeze,
    }


def _show_description(description: "ReleaseDescription", *, every_tool: bool) -> None:
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
        ("freeze", description.override_freeze and f"overridden: {one_line(description.override_freeze)}"),
        *_marks(description.marks),
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
        say("", "rollbacks:", *(f"  {rollback_line(rollback)}" for rollback in description.rollbacks))


def _marks(marks: Sequence["MarkMention"]) -> Iterator[tuple[str, str]]:
    for place, one in enumerate(marks):
        reason = f": {one_line(one.reason)}" if one.reason else ""
        said = f"{one.mark}, {exact_moment(one.created_at)} by {one_line(one.marked_by, 50)}{reason}"
        yield ("marked" if place == 0 else ""), said


def _show_contents(contents: "Contents") -> None:
    from release_worker.domain import canonical_json

    for component, items in contents.items():
        say("", f"{component}:")
        for key, item in items.items():
            say(f"  {one_line(key, 500)}: {one_line(canonical_json.dumps(item), _LONGEST_ITEM)}")


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
