"""What differs between two states, live or captured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row

from release_worker.domain.changes import TOLD_ITEMS, TOLD_KEYS, ComponentChanges, ItemDifference, describe, sort_of
from release_worker.domain.digests import BUILT_IN
from release_worker.domain.secrets import SecretKeys
from release_worker.state.blame import working_for
from release_worker.state.component import Component
from release_worker.state.registry import Registry
from release_worker.state.states import State

_KEY = "wanted_key"


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one component: the changes as they are shown, and, if it is shared with other toolsets, the keys
    of all of them, as a list or as a PostgreSQL array that goes back there as it came: there may be many."""

    changes: ComponentChanges
    keys: Sequence[str] | str


def differences(
    connection: Connection,
    registry: Registry,
    before: State,
    after: State,
    names: Iterable[str],
) -> dict[str, Difference]:
    """What differs from `before` to `after` in these components; those in which nothing does are left out."""
    compared = [registry[name] for name in names]
    built_in = [component for component in compared if component.name in BUILT_IN]
    plug_ins = [component for component in compared if component.name not in BUILT_IN]
    found: dict[str, Difference] = {}
    for together in (built_in, *([plug_in] for plug_in in plug_ins)):
        if together:
            found |= _differences(connection, together, before, after, registry.secrets)
    return {component.name: found[component.name] for component in compared if found[component.name].changes}


def _differences(
    connection: Connection,
    compared: Sequence[Component],
    before: State,
    after: State,
    secrets: SecretKeys,
) -> dict[str, Difference]:
    """In one round trip: the built-in components, or one plug-in, whose SQL is to blame if it breaks."""
    wanted = f"WHERE key LIKE :{_KEY}" if _KEY in after.parameters else ""
    queries = (
        f"({_differing(component, before[component.name], after[component.name], wanted)})" for component in compared
    )
    query = f"{' UNION ALL '.join(queries)} ORDER BY component, told NULLS FIRST, place"
    with working_for(compared[0]):
        rows = after.query(connection, query, **before.parameters)
    return {
        name: _difference(name, of_component, secrets)
        for name, of_component in groupby(rows, lambda row: str(row.component))
    }


def _differing(component: Component, before: str, after: str, wanted: str) -> str:
    """SQL: what differs in a component. Only that leaves the database, and items only of what is told."""
    changed, shared = "in_old AND in_new", "false" if component.scope == "toolset" else "true"
    told = f"place <= CASE WHEN {changed} THEN {TOLD_ITEMS} ELSE {TOLD_KEYS} END"
    return f"""
        WITH differing AS MATERIALIZED (
            SELECT key, CASE WHEN {changed} THEN old END AS old, CASE WHEN {changed} THEN new END AS new,
                   in_old, in_new, row_number() OVER (PARTITION BY in_old, in_new ORDER BY key COLLATE "C") AS place
            FROM ({component.diff(before, after)}) AS differing {wanted})
        SELECT key, {_shown("old", component)}, {_shown("new", component)}, in_old, in_new, 1 AS number, true AS told,
               place, '{component.name}' AS component
        FROM differing WHERE {told}
        UNION ALL
        SELECT NULL, NULL, NULL, in_old, in_new, count(*), false, NULL, '{component.name}'
        FROM differing WHERE NOT ({told}) GROUP BY in_old, in_new
        UNION ALL
        SELECT (array_agg(key) FILTER (WHERE {shared}))::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               '{component.name}'
        FROM differing
    """


def _difference(component: str, rows: Iterator[Row[Any]], secrets: SecretKeys) -> Difference:
    keys = next(rows).key or "{}"
    omitted: dict[str, int] = {}

    def items() -> Iterator[ItemDifference]:
        """One at a time: of each, only the fields that differ are kept."""
        for row in rows:
            if row.told:
                yield ItemDifference(row.key, row.old, row.new, row.in_old, row.in_new)
            else:
                omitted[sort_of(row.in_old, row.in_new)] = row.number

    return Difference(describe(items(), omitted, component=component, secrets=secrets), keys)


def of_key(state: State, key: str) -> State:
    """The state, of which only items of this key are compared; `*` stands for any text."""
    return State(state.contents, {**state.parameters, _KEY: _like(key)})


def _like(key: str) -> str:
    """A pattern of LIKE for a key in which `*` stands for any text."""
    escaped = key.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%")


def _shown(side: str, component: Component) -> str:
    """SQL: the value of a side. Only older software can have stored what is nested too deeply to be shown."""
    return f"ours.release_worker_not_too_deep({side}, '{component.name}: ' || key) AS {side}"
