"""Live state takes over a state from elsewhere, and is released: what publishing and importing have in common.

A rollback restores a release that is there, and points at it. Here the release is captured from live state when that is
what it was to be, so that what is released is what is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.digests import StateDigests
from release_worker.domain.freeze import Freeze
from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.errors import VersionConflict
from release_worker.operations.capture import capture
from release_worker.operations.restoring import Seen, fire_triggers, refuse_what_is_wrong, restore, unlike
from release_worker.state.differences import Difference, differences
from release_worker.state.registry import Registry
from release_worker.state.states import State, live_state
from release_worker.state.work import Work
from release_worker.store.captured import digest_today
from release_worker.store.capturing import Predecessor, Stamp
from release_worker.store.owners.holding import touch_owners
from release_worker.store.releases import current_release_and_freezes


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is to be taken over: the state, of some components or all; `event`: what this is, for the notes of a backup;
    `seen`: whose live state this is, if it is somebody's."""

    state: State
    event: str
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What is to be done, decided. `freeze`: the one that holds it off, if any; `before` and `expected`: all digests of
    live state now and afterwards; `differing`: from live state to the outcome."""

    subject: Subject
    current: Release | None
    freeze: Freeze | None
    incoming: Incoming
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


def plan_take_over(work: Work, subject: Subject, incoming: Incoming) -> TakeOver:
    """Decide it, with everything held that it may change."""
    with work.timings.step("plan"):
        return _plan(work.connection, work.registry, subject, incoming)


def _plan(connection: Connection, registry: Registry, subject: Subject, incoming: Incoming) -> TakeOver:
    live, wanted = live_state(registry, subject), incoming.state
    before, taken = live.digests(connection), wanted.digests(connection)
    current, freezes = current_release_and_freezes(connection, subject)
    unequal = [name for name in wanted.contents if before[name] != taken[name]]
    differing = differences(connection, registry, live, wanted, unequal)
    return TakeOver(
        subject=subject,
        current=current,
        freeze=freezes.of_change({registry[name].scope for name in differing}),
        incoming=incoming,
        before=before,
        expected=StateDigests({**before.components, **taken.components}),
        differing=differing,
    )


def take_over(work: Work, plan: TakeOver, stamp: Stamp) -> TakenOver:
    """Back up what no release holds, restore, read back, release. Raises VersionConflict, and IntegrityMismatch if the
    outcome is not as planned."""
    connection, registry, step = work.connection, work.registry, work.timings.step
    predecessor = Predecessor(None)
    if plan.current is not None:
        predecessor = Predecessor(plan.current.id, digest_today(connection, plan.current, registry.parts))
    backup = None
    if plan.differing:
        kept = replace(stamp, kind="backup", notes=f"live state before {plan.incoming.event}", labels=None)
        with step("capture"):
            backup = capture(connection, plan.subject, registry, predecessor=predecessor, stamp=kept).release
        with step("restore"):
            _restore(connection, registry, plan)
    with step("read_back"):
        fire_triggers(connection)
        _read_back(connection, registry, plan)
    with step("capture"):
        release = capture(connection, plan.subject, registry, predecessor=predecessor, stamp=stamp).release
    if release is not None and release.digest != plan.expected.release:
        raise VersionConflict(reason="live state was changed meanwhile")
    outcome = release or plan.current
    assert outcome is not None, "live state is what the current release holds"
    return TakenOver(outcome, created=release is not None, backup=backup)


def _restore(connection: Connection, registry: Registry, plan: TakeOver) -> None:
    state = plan.incoming.state
    parameters = {**plan.subject.parameters, "original_deployment_id": None, **state.parameters}
    restore(connection, registry, State(state.contents, parameters), plan.differing)
    touch_owners(connection, plan.subject, {registry[name].scope for name in plan.differing})


def _read_back(connection: Connection, registry: Registry, plan: TakeOver) -> None:
    after = live_state(registry, plan.subject).digests(connection)
    refuse_what_is_wrong(
        connection,
        registry,
        unlike(plan.expected.components, after),
        restored=plan.differing,
        seen=[Seen(plan.subject, plan.before), *plan.incoming.seen],
    )
