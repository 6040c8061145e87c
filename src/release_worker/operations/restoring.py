"""Live state becomes what it is to be, and is proved to be so. Shared by what overwrites live state."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.digests import BUILT_IN, StateDigests
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import IntegrityMismatch, VersionConflict
from release_worker.state.blame import working_for
from release_worker.state.component import Component, HasLiveRows
from release_worker.state.registry import Registry
from release_worker.state.states import State, live_state
from release_worker.store.engine import single_statement
from release_worker.store.owners.holding import hold_rows
from release_worker.store.sending import send, settle


class MoreToHold(Exception):
    """Ends a transaction that has to write in `scopes` too and does not hold them for that; the next one must."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        super().__init__(scopes)
        self.scopes = scopes


@dataclass(frozen=True, slots=True)
class Seen:
    """The live state of a toolset, or what was looked at of it, as it was when something was decided from it."""

    subject: Subject
    digests: StateDigests


def hold_live_rows(connection: Connection, registry: Registry, subject: Subject, *, written: Collection[Scope]) -> None:
    """Hold all live rows of the components of these scopes, whose owners are held. Raises VersionConflict."""
    hold_rows_of_plug_ins(connection, registry, subject, written=written)
    hold_rows(connection, built_in_rows(registry, written=written), subject)


def hold_rows_of_plug_ins(
    connection: Connection, registry: Registry, subject: Subject, *, written: Collection[Scope]
) -> None:
    """Hold those of plug-ins, each by itself: if its SQL is broken, it is known whose that is."""
    for plug_in in registry.plug_ins:
        if plug_in.scope in written and isinstance(plug_in, HasLiveRows):
            settle(connection)
            with working_for(plug_in):
                hold_rows(connection, plug_in.live_rows(), subject)


def built_in_rows(registry: Registry, *, written: Collection[Scope]) -> list[str]:
    """SQL: queries of the live rows of built-in components of these scopes."""
    concerned = [one for one in registry if one.name in BUILT_IN and one.scope in written]
    return [query for one in concerned if isinstance(one, HasLiveRows) for query in one.live_rows()]


def restore(connection: Connection, registry: Registry, wanted: State, names: Collection[str]) -> None:
    """Give these components what `wanted` has, in the order in which one provides for the next."""
    for component in registry:
        if component.name in names and component.name in wanted:
            if component.name not in BUILT_IN:
                settle(connection)
            with working_for(component):
                component.restore(connection, wanted[component.name], wanted.parameters)


def fire_triggers(connection: Connection) -> None:
    """What the apps' own triggers do at the commit, they do now, before live state is read back."""
    send(connection, "SET CONSTRAINTS ALL IMMEDIATE", {})


def unlike(planned: Mapping[str, str | None], after: StateDigests) -> list[dict[str, Any]]:
    """The components that did not become what was planned."""
    return [
        {"object": name, "stored": digest, "computed": after[name]}
        for name, digest in planned.items()
        if after[name] != digest
    ]


def refuse_what_is_wrong(
    connection: Connection,
    registry: Registry,
    wrong: Sequence[dict[str, Any]],
    *,
    restored: Collection[str],
    seen: Sequence[Seen],
) -> None:
    """Raises VersionConflict if others have changed meanwhile what this was decided from, and IntegrityMismatch if
    anything is wrong for no such reason. What was restored and could be edited meanwhile is looked at in any case."""
    looked_at = registry if wrong else [one for one in registry if _is_free(one, restored)]
    for one in seen:
        _refuse_if_moved(connection, looked_at, one)
    if wrong:
        named = ", ".join(str(one["object"]) for one in wrong)
        raise IntegrityMismatch(f"live state, read back, is not what was to be restored: {named}", objects=wrong)


def _is_free(component: Component, restored: Collection[str]) -> bool:
    return component.name in restored and not isinstance(component, HasLiveRows)


def _refuse_if_moved(connection: Connection, components: Iterable[Component], seen: Seen) -> None:
    """Raises VersionConflict if what others have committed of these is no longer what was seen: looked at from outside,
    where what this transaction has written does not show."""
    looked_at = [one for one in components if one.name in seen.digests.components]
    if not looked_at:
        return
    with single_statement(connection.engine) as outside:
        committed = live_state(looked_at, seen.subject).digests(outside)
    if any(committed[one.name] != seen.digests[one.name] for one in looked_at):
        raise VersionConflict(reason="live state was changed meanwhile")
