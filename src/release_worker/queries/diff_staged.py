"""What publishing would change."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.subject import Subject
from release_worker.state.differences import differences
from release_worker.state.registry import Registry
from release_worker.state.states import live_state, live_state_as
from release_worker.store.owners.naming import find_toolset
from release_worker.store.owners.staging import copy_of


@dataclass(frozen=True, slots=True)
class StagedDifference:
    """`changes` lead from the toolset's live state to that of its staged copy, by component."""

    subject: Subject
    copy: Subject
    changes: Mapping[str, ComponentChanges]


def diff_staged(
    connection: Connection, toolset: str, registry: Registry, *, organization: str | None = None
) -> StagedDifference:
    """Compare a toolset with its staged copy, in one snapshot. Raises ToolsetNotFound, also for a toolset of another
    `organization` and for one without a copy, and InvalidRequest for a copy."""
    subject = find_toolset(connection, toolset, organization=organization)
    copy = copy_of(connection, subject)
    own = registry.of_scope("toolset")
    live, staged = live_state(own, subject), live_state_as(own, copy, role="copy")
    found = differences(connection, registry, live, staged, list(live.contents))
    return StagedDifference(subject, copy, {name: difference.changes for name, difference in found.items()})
