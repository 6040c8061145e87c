"""Write live state down as the toolset's next release. Shared by every operation that makes one."""

from sqlalchemy import Connection

from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release, ReleaseKind
from release_worker.domain.subject import Subject
from release_worker.state.registry import Components
from release_worker.store.contents import link_plug_ins, store_parts
from release_worker.store.releases import Stamp, insert_release


def capture(
    connection: Connection,
    subject: Subject,
    *,
    components: Components,
    live: StateDigests,
    kind: ReleaseKind,
    current: Release | None,
    stamp: Stamp,
    make_current: bool = False,
) -> Release:
    """A new release of the live state whose digests are `live`, read in the same snapshot. The toolset must be locked.

    The release that is current now becomes its predecessor. Which one is current stays as it is, unless `make_current`.
    """
    parts = store_parts(
        connection,
        subject,
        contents={component.name: component.capture() for component in components},
        digests=live,
        plug_in_scopes={component.name: component.scope for component in components.plug_ins},
    )
    release = insert_release(
        connection,
        subject,
        kind=kind,
        parts=parts,
        digest=live.release,
        predecessor_id=None if current is None else current.id,
        stamp=stamp,
        make_current=make_current,
    )
    link_plug_ins(connection, release.id, parts)
    return release
