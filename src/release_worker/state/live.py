"""Live state as a whole: its digests, and what differs between it and a release."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.changes import TOLD_ITEMS, TOLD_KEYS, ComponentChanges, ItemDifference, describe, sort_of
from release_worker.domain.digests import StateDigests
from release_worker.state.blame import working_for
from release_worker.state.component import Component, Parameters
from release_worker.store.statements import parsed


def digests(connection: Connection, contents: Mapping[str, str], parameters: Parameters) -> StateDigests:
    """The digest of each content, a SQL expression by component name, in one statement. The content stays there."""
    columns = ", ".join(f'release_worker_digest({content}) AS "{name}"' for name, content in contents.items())
    row = connection.execute(parsed(f"SELECT {columns}"), parameters).one()
    return StateDigests(dict(zip(contents, row, strict=True)))


def live_digests(connection: Connection, components: Iterable[Component], parameters: Parameters) -> StateDigests:
    """The digest of every component's live content."""
    return digests(connection, {one.name: one.capture() for one in components}, parameters)


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one component: the changes as they are told, and where it is shared with other toolsets the keys
    of all of them, as a list or as a PostgreSQL array that goes back there as it came: there may be many."""

    changes: ComponentChanges
    keys: Sequence[str] | str


def differences(
    connection: Connection, component: Component, before: str, after: str, parameters: Parameters
) -> Difference:
    """What differs from content `before` to content `after`. Only that leaves the database, and items only of what is
    told."""
    changed, shared = "in_old AND in_new", "false" if component.scope == "toolset" else "true"
    told = f"place <= CASE WHEN {changed} THEN {TOLD_ITEMS} ELSE {TOLD_KEYS} END"
    query = f"""
        WITH differing AS MATERIALIZED (
            SELECT key, CASE WHEN {changed} THEN old END AS old, CASE WHEN {changed} THEN new END AS new,
                   in_old, in_new, row_number() OVER (PARTITION BY in_old, in_new ORDER BY key COLLATE "C") AS place
            FROM ({component.diff(before, after)}) AS differing)
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
        rows = iter(connection.execute(parsed(query), parameters))
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
