"""Live state takes over a state from elsewhere, and is released: what publishing and importing have in common.

A rollback restores a release that is there, and points at it. Here the release is captured from live state when that is
what it was to be, so that what is released is what is served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.errors import VersionConflict
from release_worker.operations.capture import capture
from release_worker.operations.restoring import Seen, fire_triggers, refuse_what_is_wrong, restore, unlike
from release_worker.state.differences import Difference, differences
from release_worker.state.registry import Components
from release_worker.state.states import State, live_state
from release_worker.store.capturing import Stamp
from release_worker.store.owners.holding import touch_owners
from release_worker.store.releases import current_release


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What is to be done, decided. `wanted`: the state that is taken over, of some components or all; `expected`: all
    digests of live state afterwards; `differing`: from live state to the outcome."""

    subject: Subject
    current: Release | None
    wanted: State
    before: StateDigests
    expected: StateDigests
    differing: Mapping[str, Difference]

    @property
    def changes(self) -> dict[str, ComponentChanges]:
        return {name: difference.changes for name, difference in self.differing.items()}


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The release of the outcome; not `created` if it was current already. The backup, if one was needed."""

    release: Release
    created: bool
    backup: Release | None


def plan_take_over(connection: Connection, components: Components, subject: Subject, wanted: State) -> TakeOver:
    """Decide it, with everything held that it may change."""
    live = live_state(components, subject)
    before, incoming = live.digests(connection), wanted.digests(connection)
    unequal = [name for name in wanted.contents if before[name] != incoming[name]]
    return TakeOver(
        subject=subject,
        current=current_release(connection, subject),
        wanted=State(wanted.contents, {**subject.parameters, "original_deployment_id": None, **wanted.parameters}),
        before=before,
        expected=StateDigests({**before.components, **incoming.components}),
        differing=differences(connection, components, live, wanted, unequal),
    )


def take_over(
    connection: Connection,
    components: Components,
    plan: TakeOver,
    stamp: Stamp,
    *,
    event: str,
    seen: Sequence[Seen] = (),
) -> TakenOver:
    """Back up what no release holds, restore, read back, release. `event`: what this is, for the notes of the backup;
    `seen`: what else this was decided from. Raises VersionConflict, and IntegrityMismatch if the outcome is not as
    planned."""
    backup = None
    if plan.differing:
        kept = replace(stamp, kind="backup", notes=f"live state before {event}", labels=None)
        backup = capture(
            connection, plan.subject, components=components, current=plan.current, stamp=kept, only_if_changed=True
        )
        restore(connection, components, plan.wanted, plan.differing)
        touch_owners(connection, plan.subject, {components[name].scope for name in plan.differing})
        fire_triggers(connection)
    _read_back(connection, components, plan, seen)
    release = capture(
        connection,
        plan.subject,
        components=components,
        current=plan.current,
        stamp=stamp,
        make_current=True,
        only_if_changed=True,
    )
    if release is not None and release.digest != plan.expected.release:
        raise VersionConflict(reason="live state was changed meanwhile")
    outcome = release or plan.current
    assert outcome is not None, "live state is what the current release holds"
    return TakenOver(outcome, created=release is not None, backup=backup)


def _read_back(connection: Connection, components: Components, plan: TakeOver, seen: Sequence[Seen]) -> None:
    after = live_state(components, plan.subject).digests(connection)
    refuse_what_is_wrong(
        connection,
        components,
        unlike(plan.expected.components, after),
        restored=plan.differing,
        seen=[Seen(plan.subject, plan.before), *seen],
    )
