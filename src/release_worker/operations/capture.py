"""Write live state down as the toolset's next release. Shared by every operation that makes one."""

from sqlalchemy import Connection

from release_worker.domain.subject import Subject
from release_worker.state.registry import Registry
from release_worker.store.capturing import Captured, Predecessor, Stamp, capture_release, capture_statement


def capture(
    connection: Connection, subject: Subject, registry: Registry, *, predecessor: Predecessor, stamp: Stamp
) -> Captured:
    """A new release of live state, in the transaction's snapshot. The toolset must be locked.

    One of kind `release` becomes the current one. There is none if live state is what `predecessor` says that its
    release holds.
    """
    contents = {component.name: component.capture() for component in registry}
    statement = capture_statement(contents, registry.parts)
    return capture_release(connection, statement, subject, predecessor=predecessor, stamp=stamp)
