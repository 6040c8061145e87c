"""What changes, as lines of text: `+` added, `-` removed, `~` changed from one value to another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from release_worker.cli.render import one_line

if TYPE_CHECKING:
    from release_worker.domain.changes import ComponentChanges

SHOWN = 10
SHORTEST_VALUE = 16
_CONTEXT = 12
_ABSENT = object()


def change_lines(
    changes: Mapping[str, "ComponentChanges"], *, limit: int | None = SHOWN, width: int = 100
) -> Iterator[str]:
    """A heading for each component and its items below it, up to `limit` of each sort. Values are cut short to fit in
    `width` columns; keys stay whole."""
    for component, changed in changes.items():
        numbers = _numbers(changed)
        yield f"{component}: {', '.join(f'{number:,} {word}' for word, number in numbers.items() if number)}"
        yield from _items("-", changed.removed, numbers["removed"], limit)
        yield from _items("+", changed.added, numbers["added"], limit)
        yield from _changed_items(changed.changed, numbers["changed"], limit, width)


def _numbers(changed: "ComponentChanges") -> dict[str, int]:
    """How many there are of each sort, also of those that are not told."""
    told = {"removed": changed.removed, "added": changed.added, "changed": changed.changed}
    omitted = changed.omitted or {}
    return {word: len(items) + omitted.get(word, 0) for word, items in told.items()}


def _items(sign: str, keys: Sequence[str], number: int, limit: int | None) -> Iterator[str]:
    shown = keys if limit is None else keys[:limit]
    for key in shown:
        yield f"  {sign} {one_line(key, 500)}"
    yield from _more(sign, number - len(shown))


def _changed_items(items: Sequence[Mapping[str, Any]], number: int, limit: int | None, width: int) -> Iterator[str]:
    shown = items if limit is None else items[:limit]
    for item in shown:
        yield f"  ~ {one_line(str(item['key']), 500)}"
        differences = list(_item_differences(item))
        visible = differences if limit is None else differences[:limit]
        for path, old, new in visible:
            yield f"      {_arrow(path, old, new, width - 6)}"
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
    elif isinstance(old, bool) != isinstance(new, bool) or old != new:
        yield path, old, new


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
