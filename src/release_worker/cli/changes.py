"""What changes, as lines of text: `+` added, `-` removed, `>` moved, `~` changed from one value to another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from release_worker.cli.render import one_line
from release_worker.cli.texts import differing_lines, is_long
from release_worker.domain.secrets import HIDDEN

if TYPE_CHECKING:
    from release_worker.domain.changes import ComponentChanges

SHOWN = 10
SHORTEST_VALUE = 16
_CONTEXT = 12
_UNBOUNDED = 1_000_000
_ABSENT = object()


def change_lines(
    changes: Mapping[str, "ComponentChanges"], *, limit: int | None = SHOWN, width: int = 100
) -> Iterator[str]:
    """A heading for each component and its items below it, up to `limit` of each sort. Values are cut short to fit in
    `width` columns unless all is shown; keys stay whole."""
    for component, changed in changes.items():
        numbers = _numbers(changed)
        yield f"{component}: {_counted(numbers)}"
        yield from _items("-", changed.removed, numbers["removed"], limit)
        yield from _items("+", changed.added, numbers["added"], limit)
        moved = [item for item in changed.changed if item["key"] in changed.moved]
        yield from _items(">", [_moved(item) for item in moved], numbers["moved"], limit)
        others = [item for item in changed.changed if item["key"] not in changed.moved]
        yield from _changed_items(component, others, numbers["changed"], limit, width)


def summary_lines(changes: Mapping[str, "ComponentChanges"]) -> Iterator[str]:
    """For each component, how many there are of each sort."""
    longest = max(map(len, changes), default=0)
    for component, changed in changes.items():
        redefined = [item for item in changed.changed if _is_redefined(component, item)]
        note = f" ({len(redefined):,} redefined, same URN)" if redefined else ""
        yield f"{component:{longest}}  {_counted(_numbers(changed))}{note}"


def _numbers(changed: "ComponentChanges") -> dict[str, int]:
    """How many there are of each sort, also of those that are not told."""
    moved, omitted = len(changed.moved), changed.omitted or {}
    told = {"removed": len(changed.removed), "added": len(changed.added), "changed": len(changed.changed) - moved}
    numbers = {word: number + omitted.get(word, 0) for word, number in told.items()}
    return {"removed": numbers["removed"], "added": numbers["added"], "moved": moved, "changed": numbers["changed"]}


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)


def _moved(item: Mapping[str, Any]) -> str:
    position = item["fields"]["position"]
    return f"{item['key']}  {position['old']} → {position['new']}"


def _is_redefined(component: str, item: Mapping[str, Any]) -> bool:
    """A tool or a resource that is something else now, under the URN that it had."""
    defines = component == "deployment" and str(item["key"]).startswith(("tools/", "resources/"))
    return defines and "definition" in item.get("fields", ())


def _items(sign: str, keys: Sequence[str], number: int, limit: int | None) -> Iterator[str]:
    shown = keys if limit is None else keys[:limit]
    for key in shown:
        yield f"  {sign} {one_line(key, 500)}"
    yield from _more(sign, number - len(shown))


def _changed_items(
    component: str, items: Sequence[Mapping[str, Any]], number: int, limit: int | None, width: int
) -> Iterator[str]:
    shown = items if limit is None else items[:limit]
    for item in shown:
        note = "  (redefined, same URN)" if _is_redefined(component, item) else ""
        yield f"  ~ {one_line(str(item['key']), 500)}{note}"
        differences = list(_item_differences(item))
        visible = differences if limit is None else differences[:limit]
        for path, old, new in visible:
            yield from (f"      {line}" for line in _value_lines(path, old, new, limit, width - 6))
        if more := len(differences) - len(visible):
            yield f"      … and {more:,} more fields"
    yield from _more("~", number - len(shown))


def _more(sign: str, number: int) -> Iterator[str]:
    if number:
        yield f"  {sign} … and {number:,} more"


Difference = tuple[str, Any, Any]


def _item_differences(item: Mapping[str, Any]) -> Iterator[Difference]:
    if "fields" not in item:
        yield from _differences("", item.get("old", _ABSENT), item.get("new", _ABSENT))
        return
    for name, sides in item["fields"].items():
        yield from _differences(name, sides.get("old", _ABSENT), sides.get("new", _ABSENT))


def _differences(path: str, old: Any, new: Any) -> Iterator[Difference]:
    """The innermost values that differ, each with its path: `definition.parameters[2].required`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            inner = f"{path}.{name}" if path else str(name)
            yield from _differences(inner, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{path}[{place}]", before, after)
    elif isinstance(old, bool) != isinstance(new, bool) or old != new or old == new == HIDDEN:
        yield path, old, new


def _value_lines(path: str, old: Any, new: Any, limit: int | None, width: int) -> Iterator[str]:
    """A line from old to new; of texts of several lines, the lines that differ."""
    if not is_long(old, new):
        yield _arrow(path, old, new, width) if limit is not None else _arrow(path, old, new, _UNBOUNDED)
        return
    lines = list(differing_lines(old, new))
    yield f"{one_line(path, 200)}:" if path else "text:"
    for line in lines if limit is None else lines[:limit]:
        yield f"  {line if limit is None else _cut(line, width - 2)}"
    if limit is not None and len(lines) > limit:
        yield f"  … and {len(lines) - limit:,} more lines"


def _cut(line: str, width: int) -> str:
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def _arrow(path: str, old: Any, new: Any, width: int) -> str:
    name = f"{one_line(path, 200)}: " if path else ""
    before, after = _around_difference(_text(old), _text(new), width - len(name) - len(" → "))
    return f"{name}{before} → {after}"


def _text(value: Any) -> str:
    from release_worker.domain import canonical_json

    return "(none)" if value is _ABSENT else canonical_json.dumps(value)


def _around_difference(old: str, new: str, width: int) -> tuple[str, str]:
    """Both texts cut short to `width` in all; if they begin alike for long, from shortly before they differ."""
    if cell_len(old) + cell_len(new) <= width:
        return one_line(old, width), one_line(new, width)
    room = max(SHORTEST_VALUE, width // 2)
    same = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = same - _CONTEXT
    if start <= _CONTEXT:
        return one_line(old, room), one_line(new, room)
    return "…" + one_line(old[start:], room - 1), "…" + one_line(new[start:], room - 1)
