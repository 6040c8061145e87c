"""Live state as a whole: its digests, and what differs between it and a release."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from release_worker.domain.changes import ComponentChanges, ItemDifference, describe
from release_worker.domain.digests import StateDigests
from release_worker.state.component import Component, Parameters


def digests(connection: Connection, contents: Mapping[str, str], parameters: Parameters) -> StateDigests:
    """The digest of each content, a SQL expression by component name, in one statement. The content stays there."""
    columns = ", ".join(f'release_worker_digest({content}) AS "{name}"' for name, content in contents.items())
    row = connection.execute(text(f"SELECT {columns}"), parameters).one()
    return StateDigests(dict(zip(contents, row, strict=True)))


def live_digests(connection: Connection, components: Iterable[Component], parameters: Parameters) -> StateDigests:
    """The digest of every component's live content."""
    return digests(connection, {one.name: one.capture() for one in components}, parameters)


def differences(
    connection: Connection, component: Component, before: str, after: str, parameters: Parameters
) -> ComponentChanges:
    """What differs from content `before` to content `after`; only that leaves the database."""
    rows = connection.execute(text(component.diff(before, after)), parameters)
    return describe(ItemDifference(*row) for row in rows)
