"""Edits of contents: what a component holds becomes what it is to hold.

The component itself then puts that in place, as it does in a rollback, so an edit needs no SQL of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from release_worker.domain.editing.catalogue import Catalogue
from release_worker.errors import InvalidRequest

LARGEST_POSITION = 2**31 - 1

Content = Any


class Change(Protocol):
    """What is to become of one component's content."""

    def __bool__(self) -> bool:
        """Whether anything is asked for."""

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        """The content as it is to be; the given one stays as it is. Adds to `warnings` what had no effect."""


@dataclass(frozen=True, slots=True)
class ListChange:
    """Of a list of URNs: those that are added stand behind the others; then those in `order` come first. `what` is what
    an item is called."""

    what: str
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    order: Sequence[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed) or self.order is not None

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        """Raises InvalidRequest for an order of what is not listed."""
        places: dict[str, int] = dict(zip(content["urns"], content["positions"], strict=True))
        for urn in self.removed:
            if places.pop(urn, None) is None:
                warnings.append(f"{self.what} {urn} was not listed")
        last = max(places.values(), default=-1)
        new = [urn for urn in self.added if urn not in places]
        places |= {urn: place for place, urn in enumerate(new, start=last + 1)}
        if self.order is not None or max(places.values(), default=0) > LARGEST_POSITION:
            places = {urn: place for place, urn in enumerate(self._ordered(places))}
        return {"urns": list(places), "positions": list(places.values())}

    def _ordered(self, places: Mapping[str, int]) -> list[str]:
        first = self.order or ()
        unknown = [urn for urn in first if urn not in places]
        if unknown:
            problem = f"{unknown[0]} is not listed, so that it has no place" + _and_more(len(unknown) - 1)
            raise refused(f"{self.what}_order", problem)
        named = set(first)
        return [*first, *(urn for urn in places if urn not in named)]


@dataclass(frozen=True, slots=True)
class ItemsChange:
    """Of items by key. `what` is what an item is called."""

    what: str
    put: Mapping[str, Any] = field(default_factory=dict)
    removed: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.removed)

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        """None is no item at all, before and afterwards: so it is with variations."""
        items = dict(content or {})
        for key in self.removed:
            if key not in items:
                warnings.append(f"{self.what} {key} was not there")
            items.pop(key, None)
        return {**items, **self.put} or (None if content is None else items)


@dataclass(frozen=True, slots=True)
class VariationsChange(ItemsChange):
    """Of variations: where there are none, there is no content."""

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        return ItemsChange.made_to(self, content, warnings) or None


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Of a toolset's name, description and settings; an empty description is none."""

    name: str | None
    description: str | None
    settings: ItemsChange

    def __bool__(self) -> bool:
        return self.name is not None or self.description is not None or bool(self.settings)

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        """Raises InvalidRequest if the settings are no object, and keys of them are to change."""
        edited = dict(content)
        if self.name is not None:
            edited["name"] = self.name
        if self.description is not None:
            edited["description"] = self.description or None
        if self.settings:
            if not isinstance(content["settings"], dict):
                raise refused("set_settings", "the toolset's settings are no JSON object, so they have no keys")
            edited["settings"] = self.settings.made_to(content["settings"], warnings)
        return edited


@dataclass(frozen=True, slots=True)
class SystemChange:
    """Of a project's configuration and prompts. A prompt that is there keeps the fields that are not given."""

    config: ItemsChange
    prompts: ItemsChange

    def __bool__(self) -> bool:
        return bool(self.config or self.prompts)

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        """Raises InvalidRequest for a new prompt without its text."""
        known = content["prompts"]
        put = {name: _prompt(name, known.get(name), fields) for name, fields in self.prompts.put.items()}
        prompts = ItemsChange(self.prompts.what, put, self.prompts.removed)
        return {
            "config": self.config.made_to(content["config"], warnings),
            "prompts": prompts.made_to(known, warnings),
        }


_NEW_PROMPT = {"description": None, "engine": "mustache", "kind": "prompt", "tool_urn": None}


def _prompt(name: str, known: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    if known is None and "prompt" not in fields:
        raise refused(f"set_prompts.{name}", "is new, and has no text (prompt)")
    edited = {**(_NEW_PROMPT if known is None else known), **fields}
    if edited.get("arguments") is None:
        edited.pop("arguments", None)
    return edited


@dataclass(frozen=True, slots=True)
class Deploy:
    """The deployment becomes what a catalogue has, and nothing else."""

    catalogue: Catalogue | None

    def __bool__(self) -> bool:
        return self.catalogue is not None

    def made_to(self, content: Content, warnings: list[str]) -> Content:
        return content if self.catalogue is None else self.catalogue.content


def refused(name: str, problem: str) -> InvalidRequest:
    """The error of an edit whose field `name` has this problem."""
    return InvalidRequest(
        f"the request is not valid: {name}: {problem}", problems=[{"field": name, "problem": problem}]
    )


def _and_more(number: int) -> str:
    return f" (and {number} more)" if number else ""
