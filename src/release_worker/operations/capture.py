"""Write live state down as the toolset's next release. Shared by every operation that makes one."""

from sqlalchemy import Connection

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.state.registry import Components
from release_worker.store.captured import digest_today
from release_worker.store.capturing import Stamp, capture_release


def capture(
    connection: Connection,
    subject: Subject,
    *,
    components: Components,
    current: Release | None,
    stamp: Stamp,
    make_current: bool = False,
    only_if_changed: bool = False,
) -> Release | None:
    """A new release of live state, in the transaction's snapshot. The toolset must be locked.

    The release that is current now becomes its predecessor; which one is current stays as it is, unless `make_current`.
    With `only_if_changed`, None where live state is what the current release holds.
    """
    return capture_release(
        connection,
        subject,
        {component.name: component.capture() for component in components},
        plug_ins=components.parts,
        predecessor_id=None if current is None else current.id,
        stamp=stamp,
        make_current=make_current,
        unless=digest_today(connection, current, components.parts) if only_if_changed and current else None,
    )
