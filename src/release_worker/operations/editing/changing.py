"""The one way in which contents are edited: held, read, changed, compared, and put in place by their components."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.changes import ComponentChanges
from release_worker.domain.editing.contents import Change
from release_worker.domain.subject import Scope, Subject
from release_worker.operations.restoring import hold_live_rows, restore
from release_worker.operations.rollback.shared_impact import reach, shared_impact
from release_worker.state.differences import differences
from release_worker.state.providers import TOLD, count_unprovided
from release_worker.state.registry import Registry
from release_worker.state.states import State, live_state
from release_worker.store.owners.holding import hold_active_deployment
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT

# What decides whether something provides what a toolset lists.
_PROVIDING = frozenset(("tools", "resources", "deployment", "system"))


@dataclass(frozen=True, slots=True)
class Changed:
    """What has become of the contents: by component, what has changed; and what the caller should know."""

    changes: Mapping[str, ComponentChanges]
    warnings: tuple[str, ...]


def change_contents(
    connection: Connection, registry: Registry, subject: Subject, changes: Mapping[str, Change]
) -> Changed:
    """Make these changes to live contents, whose owners are held. What is equal already is not written.

    Raises VersionConflict if others hold rows of them, and what the changes refuse.
    """
    asked = {name: change for name, change in changes.items() if change}
    if not asked:
        return Changed({}, ())
    hold_contents(connection, registry, subject, asked)
    warnings: list[str] = []
    wanted = _wanted(connection, registry, subject, asked, warnings)
    live = live_state((registry[name] for name in asked), subject)
    found = differences(connection, registry, live, wanted, asked)
    affected = shared_impact(
        connection, {name: one.keys for name, one in found.items()}, live=live, target=wanted, registry=registry
    )
    warnings += _first(reach(affected))
    restore(connection, registry, wanted, found)
    return Changed({name: one.changes for name, one in found.items()}, tuple(warnings))


def hold_contents(connection: Connection, registry: Registry, subject: Subject, names: Collection[str]) -> None:
    """Hold the rows of these components, whose owners are held: nobody edits them meanwhile, not even an app that holds
    nothing."""
    written: set[Scope] = {registry[name].scope for name in names}
    if "deployment" in names:
        hold_active_deployment(connection, subject)
    hold_live_rows(connection, registry, subject, written=written)


def _wanted(
    connection: Connection,
    registry: Registry,
    subject: Subject,
    asked: Mapping[str, Change],
    warnings: list[str],
) -> State:
    """The contents as they are to be. A deployment that is made is made from the active one."""
    columns = [f'CAST({registry[name].capture()} AS text) AS "{name}"' for name in asked]
    live = live_state((), subject)
    row = live.query(connection, f"SELECT {', '.join(columns)}, {ACTIVE_DEPLOYMENT} AS original").one()._mapping
    contents, parameters = {}, {**subject.parameters, "original_deployment_id": row["original"]}
    for name, change in asked.items():
        before = None if row[name] is None else canonical_json.loads(row[name])
        after = change.made_to(before, warnings)
        contents[name] = f"CAST(:wanted_{name} AS jsonb)"
        parameters[f"wanted_{name}"] = None if after is None else canonical_json.dumps(after)
    return State(contents, parameters)


def unprovided(connection: Connection, registry: Registry, subject: Subject, changed: Collection[str]) -> list[str]:
    """In words: what the toolset lists, and nothing provides, if that may have changed."""
    if not _PROVIDING.intersection(changed):
        return []
    live = live_state((registry[name] for name in sorted(_PROVIDING)), subject)
    missing = count_unprovided(connection, ("tools", "resources"), listed=live, sources=live)
    return [
        f"nothing provides {urn}, which the toolset lists" for urns, _number in missing.values() for urn in urns
    ] + [f"nor {number - TOLD} more of its {kind}" for kind, (_, number) in missing.items() if number > TOLD]


def _first(warnings: list[str]) -> list[str]:
    more = len(warnings) - TOLD
    return [*warnings[:TOLD], *([f"changes what {more} more toolsets serve"] if more > 0 else [])]
