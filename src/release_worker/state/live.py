"""Live state as a whole: its digests, and what differs between it and a release."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.changes import LISTED, ComponentChanges, ItemDifference, describe
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
    """What differs in one component: the keys of all of it, and the changes as they are told."""

    keys: tuple[str, ...]
    changes: ComponentChanges


def differences(
    connection: Connection, component: Component, before: str, after: str, parameters: Parameters
) -> Difference:
    """What differs from content `before` to content `after`. Only that leaves the database, and values only of what is
    told."""
    query = f"""
        SELECT key, CASE WHEN place <= {LISTED} THEN old END, CASE WHEN place <= {LISTED} THEN new END, in_old, in_new
        FROM (
            SELECT key, old, new, in_old, in_new, row_number() OVER (ORDER BY key COLLATE "C") AS place
            FROM ({component.diff(before, after)}) AS differing) AS placed
        ORDER BY place
    """
    keys: list[str] = []

    def noted() -> Iterator[ItemDifference]:
        for row in connection.execute(parsed(query), parameters):
            keys.append(row[0])
            yield ItemDifference(*row)

    changes = describe(noted())
    return Difference(tuple(keys), changes)
