"""How much a rollback removes, adds and changes, by section: from what it recorded, and from the rows themselves."""

from collections.abc import Iterable, Mapping
from typing import Literal

from release_worker.demo.live import ItemKey, LiveState
from release_worker.domain.changes import ComponentChanges

How = Literal["removed", "added", "changed"]
HOWS: tuple[How, ...] = ("removed", "added", "changed")
Counts = dict[str, dict[How, int]]


def recorded(changes: Mapping[str, ComponentChanges]) -> Counts:
    """Counts the changes that a rollback planned or recorded."""
    return _counted(
        (_section(component, key), how)
        for component, change in changes.items()
        for how, keys in _keys(change).items()
        for key in keys
    )


def between(before: LiveState, after: LiveState) -> Counts:
    """Counts the rows that differ before and after."""
    old, new = before.items, after.items
    changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
    found: dict[How, Iterable[ItemKey]] = {
        "removed": old.keys() - new.keys(),
        "added": new.keys() - old.keys(),
        "changed": changed,
    }
    return _counted((section, how) for how, keys in found.items() for section, _ in keys)


def _counted(found: Iterable[tuple[str, How]]) -> Counts:
    counts: Counts = {}
    for section, how in found:
        counts.setdefault(section, dict.fromkeys(HOWS, 0))[how] += 1
    return dict(sorted(counts.items()))


def _keys(change: ComponentChanges) -> dict[How, Iterable[str]]:
    return {"removed": change.removed, "added": change.added, "changed": [item["key"] for item in change.changed]}


def _section(component: str, key: str) -> str:
    return f"{component}/{key.partition('/')[0]}" if component in ("deployment", "system") else component
