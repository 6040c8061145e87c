"""Live state as a whole: its digests, and what differs between it and a release."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.changes import LISTED, ComponentChanges, ItemDifference, describe, sort_of
from release_worker.domain.digests import StateDigests
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
    """What differs in one component: the changes as they are told, and the keys of all of them, as a list or as a
    PostgreSQL array that goes back there as it came: there may be many."""

    changes: ComponentChanges
    keys: Sequence[str] | str


def differences(
    connection: Connection, component: Component, before: str, after: str, parameters: Parameters
) -> Difference:
    """What differs from content `before` to content `after`. Only that leaves the database, and items only of what is
    told."""
    query = f"""
        WITH differing AS MATERIALIZED (
            SELECT key, old, new, in_old, in_new, row_number() OVER (ORDER BY key COLLATE "C") AS place
            FROM ({component.diff(before, after)}) AS differing)
        SELECT place, key, old, new, in_old, in_new, 1 AS number FROM differing WHERE place <= {LISTED}
        UNION ALL
        SELECT {LISTED} + 1, NULL, NULL, NULL, in_old, in_new, count(*) FROM differing WHERE place > {LISTED}
        GROUP BY in_old, in_new
        UNION ALL
        SELECT 0, array_agg(key)::text, NULL, NULL, NULL, NULL, NULL FROM differing
        ORDER BY place
    """
    keys, *rows = connection.execute(parsed(query), parameters)
    told = (ItemDifference(*row[1:6]) for row in rows if row.place <= LISTED)
    omitted = {sort_of(row.in_old, row.in_new): row.number for row in rows if row.place > LISTED}
    return Difference(describe(told, dict(sorted(omitted.items()))), keys.key or "{}")
