"""What differs between two states, live or captured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.changes import TOLD_ITEMS, TOLD_KEYS, ComponentChanges, ItemDifference, describe, sort_of
from release_worker.state.blame import working_for
from release_worker.state.component import Component
from release_worker.state.registry import Components
from release_worker.state.states import State


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one component: the changes as they are told, and where it is shared with other toolsets the keys
    of all of them, as a list or as a PostgreSQL array that goes back there as it came: there may be many."""

    changes: ComponentChanges
    keys: Sequence[str] | str


def differences(
    connection: Connection, components: Components, before: State, after: State, names: Iterable[str]
) -> dict[str, Difference]:
    """What differs from `before` to `after` in these components; those in which nothing does are left out."""
    both = {**before.parameters, **after.parameters}
    found = {
        name: _difference(connection, components[name], State({"old": before[name], "new": after[name]}, both))
        for name in names
    }
    return {name: difference for name, difference in found.items() if difference.changes}


def _difference(connection: Connection, component: Component, both: State) -> Difference:
    """Only what differs leaves the database, and items only of what is told."""
    changed, shared = "in_old AND in_new", "false" if component.scope == "toolset" else "true"
    told = f"place <= CASE WHEN {changed} THEN {TOLD_ITEMS} ELSE {TOLD_KEYS} END"
    query = f"""
        WITH differing AS MATERIALIZED (
            SELECT key, CASE WHEN {changed} THEN old END AS old, CASE WHEN {changed} THEN new END AS new,
                   in_old, in_new, row_number() OVER (PARTITION BY in_old, in_new ORDER BY key COLLATE "C") AS place
            FROM ({component.diff(both["old"], both["new"])}) AS differing)
        SELECT key, {_shown("old", component)}, {_shown("new", component)}, in_old, in_new, 1 AS number, true AS told,
               place
        FROM differing WHERE {told}
        UNION ALL
        SELECT NULL, NULL, NULL, in_old, in_new, count(*), false, NULL FROM differing WHERE NOT ({told})
        GROUP BY in_old, in_new
        UNION ALL
        SELECT (array_agg(key) FILTER (WHERE {shared}))::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM differing
        ORDER BY told NULLS FIRST, place
    """
    with working_for(component):
        rows = iter(both.query(connection, query))
    keys = next(rows).key or "{}"
    omitted: dict[str, int] = {}

    def items() -> Iterator[ItemDifference]:
        """One at a time: of each, only the fields that differ are kept."""
        for row in rows:
            if row.told:
                yield ItemDifference(*row[:5])
            else:
                omitted[sort_of(row.in_old, row.in_new)] = row.number

    return Difference(describe(items(), omitted), keys)


def _shown(side: str, component: Component) -> str:
    """SQL: the value of a side. Only older software can have stored what is nested too deeply to be shown."""
    return f"release_worker_not_too_deep({side}, '{component.name}: ' || key) AS {side}"
