"""What differs between two states, as callers, the ledger and the command line see it.

A component's content is a set of keyed items: a tool's URN and its position, a prompt's name and its fields.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

Json = Any


@dataclass(frozen=True, slots=True)
class ItemDifference:
    """One key whose item is not the same on both sides; `absent` marks the side that lacks it."""

    key: str
    old: Json
    new: Json
    in_old: bool = True
    in_new: bool = True


class ComponentChanges(BaseModel):
    """`added` and `removed` name keys; a `changed` item is `{key, fields: {name: {old, new}}}` where both sides are
    objects (a side without the field lacks `old` or `new`), otherwise `{key, old, new}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[dict[str, Json], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is touched."""
        return self.added + self.removed + tuple(item["key"] for item in self.changed)


def describe(differences: Iterable[ItemDifference]) -> ComponentChanges:
    """Sort differences into added, removed and changed, each ordered by key."""
    ordered = sorted(differences, key=lambda difference: difference.key)
    return ComponentChanges(
        added=tuple(one.key for one in ordered if not one.in_old),
        removed=tuple(one.key for one in ordered if not one.in_new),
        changed=tuple(_changed_item(one) for one in ordered if one.in_old and one.in_new),
    )


def _changed_item(difference: ItemDifference) -> dict[str, Json]:
    old, new = difference.old, difference.new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {"key": difference.key, "fields": _changed_fields(old, new)}
    return {"key": difference.key, "old": old, "new": new}


def _changed_fields(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    fields: dict[str, dict[str, Json]] = {}
    for name in sorted({*old, *new}):
        sides = {side: value[name] for side, value in (("old", old), ("new", new)) if name in value}
        if len(sides) < 2 or not _same(sides["old"], sides["new"]):
            fields[name] = sides
    return fields


def _same(old: Json, new: Json) -> bool:
    """Equal as JSON: Python alone holds that True == 1."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(old[name], new[name]) for name in old)
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        return len(old) == len(new) and all(map(_same, old, new))
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)
