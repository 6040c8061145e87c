"""What differs between two states, as callers, the ledger and the command line see it.

A component's content is a set of keyed items: a tool's URN and its position, a prompt's name and its fields.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from release_worker.domain import canonical_json

Json = Any
Sort = Literal["added", "removed", "changed"]
# How many are told of one component: keys that were added and keys that were removed, and changed items with their
# values. What is beyond them is in the two releases.
TOLD_KEYS, TOLD_ITEMS = 10_000, 1_500


@dataclass(frozen=True, slots=True)
class ItemDifference:
    """One key whose item is not the same on both sides; `absent` marks the side that lacks it."""

    key: str
    old: Json
    new: Json
    in_old: bool = True
    in_new: bool = True


class ComponentChanges(BaseModel):
    """`added` and `removed` name keys; a `changed` item is `{key, fields: {name: {old, new}}}` if both sides are
    objects (a side without the field lacks `old` or `new`), otherwise `{key, old, new}`. `omitted` is there only if
    there are more than these, and says how many of which sort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[dict[str, Json], ...] = ()
    omitted: dict[str, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is told."""
        return self.added + self.removed + tuple(item["key"] for item in self.changed)

    def as_json(self) -> dict[str, Json]:
        """As `model_dump`, without a copy of every value."""
        fields = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return fields if self.omitted is None else {**fields, "omitted": self.omitted}

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Json]:
        fields: dict[str, Json] = serialize(self)
        if self.omitted is None:
            del fields["omitted"]
        return fields


def describe(differences: Iterable[ItemDifference], omitted: Mapping[str, int] | None = None) -> ComponentChanges:
    """The differences, which come by key, as added, removed and changed; `omitted` counts those that do not come, and
    is looked at when all have come."""
    added, removed, changed = [], [], []
    for one in differences:
        match sort_of(one.in_old, one.in_new):
            case "added":
                added.append(one.key)
            case "removed":
                removed.append(one.key)
            case "changed":
                changed.append(_changed_item(one))
    return ComponentChanges(
        added=tuple(added),
        removed=tuple(removed),
        changed=tuple(changed),
        omitted=dict(sorted(omitted.items())) if omitted else None,
    )


def describe_added(keys: Iterable[str]) -> ComponentChanges:
    """That these were added."""
    ordered = sorted(keys)
    told = (ItemDifference(key, None, None, in_old=False) for key in ordered[:TOLD_KEYS])
    return describe(told, {"added": len(ordered) - TOLD_KEYS} if len(ordered) > TOLD_KEYS else None)


def sort_of(in_old: bool, in_new: bool) -> Sort:
    """What became of an item: `added`, `removed` or `changed`."""
    if not in_old:
        return "added"
    return "changed" if in_new else "removed"


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
    return canonical_json.dumps(old) == canonical_json.dumps(new)
