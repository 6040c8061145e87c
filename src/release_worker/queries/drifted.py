"""Has live state moved away from a release, and in which components? From digests alone."""

from sqlalchemy import Connection

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.state.registry import Registry
from release_worker.state.states import captured_state, live_state
from release_worker.store.captured import digest_today, said_by


def drifted_components(
    connection: Connection, subject: Subject, current: Release, registry: Registry
) -> list[str] | None:
    """The components that differ, by name; None if nothing has drifted. In the snapshot of a transaction.

    If nothing has drifted and today's software made the release, one digest decides. It says what `check_drift` says,
    which tells the differences too. Raises UnsupportedContent for a release that newer software wrote.
    """
    live = live_state(registry, subject).digests(connection)
    if live.release == current.digest or live.release == digest_today(connection, current, registry.parts):
        return None
    said = said_by(connection, current)
    captured = captured_state(current, registry).digests(connection)
    components = [name for name in registry.names if name in said and live[name] != captured[name]]
    # Older software captured no source, and its digest is then another one in any case.
    return components if components or current.source_state_id is not None else None
