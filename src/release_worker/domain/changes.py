"""What differs between two states, as callers, the ledger and the command line see it.

A component's content is a set of keyed items: a tool's URN and its position, a prompt's name and its fields.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from release_worker.domain import canonical_json
from release_worker.domain.digests import BUILT_IN
from release_worker.domain.secrets import DEFAULT_SECRET_KEYS, HIDDEN, SecretKeys, hide

Json = Any
Sort = Literal["added", "removed", "changed"]
# How many are told of one component: keys that were added and keys that were removed, and changed items with their
# values. What is beyond them is in the two releases.
TOLD_KEYS, TOLD_ITEMS = 10_000, 1_500
# Their items are places in a list: one whose position alone differs has moved.
LISTS = ("tools", "resources")


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
    objects (a side without the field lacks `old` or `new`), otherwise `{key, old, new}`. `moved` names those of the
    changed items that are only at another position of a list. `omitted` says how many more there are than these, of
    which sort. Both are there only if there are any. Values under keys that look secret are hidden (`domain.secrets`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[dict[str, Json], ...] = ()
    moved: tuple[str, ...] = ()
    omitted: dict[str, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is told."""
        return self.added + self.removed + tuple(item["key"] for item in self.changed)

    def as_json(self) -> dict[str, Json]:
        """As `model_dump`, without a copy of every value."""
        return self._present({name: getattr(self, name) for name in type(self).model_fields})

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Json]:
        return self._present(serialize(self))

    def _present(self, fields: dict[str, Json]) -> dict[str, Json]:
        return {name: value for name, value in fields.items() if value or name not in ("moved", "omitted")}


def describe(
    differences: Iterable[ItemDifference],
    omitted: Mapping[str, int] | None = None,
    *,
    component: str | None = None,
    secrets: SecretKeys = DEFAULT_SECRET_KEYS,
) -> ComponentChanges:
    """The differences of a component, which come by key, as added, removed and changed, with secrets hidden; `omitted`
    counts those that do not come, and is looked at when all have come."""
    added, removed, changed = [], [], []
    for one in differences:
        match sort_of(one.in_old, one.in_new):
            case "added":
                added.append(one.key)
            case "removed":
                removed.append(one.key)
            case "changed":
                secret = _is_secret(one.key, component, secrets)
                changed.append(_hidden_item(one) if secret else _changed_item(one, secrets))
    return ComponentChanges(
        added=tuple(added),
        removed=tuple(removed),
        changed=tuple(changed),
        moved=tuple(item["key"] for item in changed if component in LISTS and item["fields"].keys() == {"position"}),
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


def shown_item(key: str, item: Json, component: str, secrets: SecretKeys) -> Json:
    """An item of a component's content, with secrets hidden."""
    return HIDDEN if _is_secret(key, component, secrets) else hide(item, None, secrets)[0]


def _is_secret(key: str, component: str | None, secrets: SecretKeys) -> bool:
    """Whether the item's own key names a value that is secret. Of what is built in, only a key of the system's
    configuration names a value; others are URNs, slugs and names."""
    section, _, name = key.partition("/")
    if component is None or component in BUILT_IN:
        return section == "config" and name in secrets
    return key in secrets


def _hidden_item(difference: ItemDifference) -> dict[str, Json]:
    return {"key": difference.key, "old": HIDDEN, "new": HIDDEN}


def _changed_item(difference: ItemDifference, secrets: SecretKeys) -> dict[str, Json]:
    old, new = difference.old, difference.new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {"key": difference.key, "fields": _changed_fields(old, new, secrets)}
    old, new = hide(old, new, secrets)
    return {"key": difference.key, "old": old, "new": new}


def _changed_fields(
    old: Mapping[str, Json], new: Mapping[str, Json], secrets: SecretKeys
) -> dict[str, dict[str, Json]]:
    fields: dict[str, dict[str, Json]] = {}
    for name in sorted({*old, *new}):
        before, after = ({name: side[name]} if name in side else {} for side in (old, new))
        if not _same(before, after):
            shown = zip(("old", "new"), hide(before, after, secrets), strict=True)
            fields[name] = {side: value[name] for side, value in shown if name in value}
    return fields


def _same(old: Json, new: Json) -> bool:
    """Equal as JSON: Python alone holds that True == 1. What differs for Python always differs as JSON, and is found
    out much faster."""
    with suppress(RecursionError):  # Python compares to a depth only
        if old != new:
            return False
    return canonical_json.dumps(old) == canonical_json.dumps(new)
