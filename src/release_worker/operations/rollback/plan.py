"""What a rollback would do: read everything, decide everything, write nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import PermanentError, ReleaseMarkedBad, SharedStateImpact
from release_worker.operations.expectations import frozen, stale_state
from release_worker.operations.rollback.dependencies import Dependencies, settle_dependencies
from release_worker.operations.rollback.shared_impact import reach, shared_impact
from release_worker.state.differences import differences
from release_worker.state.registry import Registry
from release_worker.state.states import State, captured_state, live_state
from release_worker.store.captured import check_integrity, digest_today
from release_worker.store.releases import RollbackReleases


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """A rollback, decided.

    - `wanted`: the state of the components that are to be restored; `expected`: its digests;
    - `snapshot`: all that the target holds; `whole_target`: the digest that live state would have if it were all that;
    - `before`: the digests of all live state; `changes` lead from live state to the outcome;
    - `moved`: live state is not what the current release holds;
    - `affected`: each other toolset that would serve something else;
    - `refusal`: why the rollback is refused.
    """

    subject: Subject
    target: Release
    current: Release | None
    wanted: State
    snapshot: State
    before: StateDigests
    expected: StateDigests
    whole_target: str
    moved: bool
    changes: Mapping[str, ComponentChanges]
    dependencies: Dependencies
    warnings: tuple[str, ...]
    scopes: frozenset[Scope] = field(default_factory=frozenset)
    affected: Sequence[Mapping[str, Any]] = ()
    refusal: PermanentError | None = None

    @property
    def backs_up(self) -> bool:
        """Live state has edits that no release holds and that would be overwritten: they are kept first."""
        return self.moved and bool(self.changes)

    @property
    def at_target(self) -> bool:
        """Live state is what the target holds, all of it."""
        return self.before.release == self.whole_target

    @property
    def noop(self) -> bool:
        """There is nothing to restore and nothing to write down."""
        if self.changes:
            return False
        if self.at_target:
            return self.current is not None and self.current.id == self.target.id
        return not self.moved


def plan_rollback(
    connection: Connection,
    request: Rollback,
    registry: Registry,
    *,
    subject: Subject,
    releases: RollbackReleases,
) -> RollbackPlan:
    """Decide a rollback between these releases: in a snapshot, or with everything held that it may change.

    Live state is digested by the first statement: whoever digests it again later knows whether all of this was decided
    from the same state. The plan's refusal, if any, is the first of StaleState, Frozen, ReleaseMarkedBad,
    MissingDependencies and SharedStateImpact. Raises IntegrityMismatch and UnsupportedContent.
    """
    current, target, original_deployment = releases[:3]
    live = live_state(registry, subject)
    integrity = check_integrity(connection, target, registry.parts, live=live.contents, parameters=live.parameters)
    before = integrity.live

    named = request.components or registry.names
    names = [name for name in registry.names if name in named and name in integrity.said]
    original = {"original_deployment_id": original_deployment}
    captured = captured_state(target, registry)
    snapshot = State(captured.contents, {**subject.parameters, **captured.parameters, **original})
    selected = snapshot.only(names)
    dependencies = settle_dependencies(connection, request.on_missing, selected=selected, live=live, snapshot=snapshot)
    wanted = selected.without(dependencies.skipped)
    expected = _expected(connection, wanted, integrity.digests, dependencies)

    unequal = [name for name in names if before[name] != expected[name]]
    differing = differences(connection, registry, live, wanted, unequal) | dependencies.added
    affected = shared_impact(
        connection,
        {name: difference.keys for name, difference in differing.items()},
        live=live,
        target=wanted.over(snapshot),
        registry=registry,
    )
    scopes = frozenset(registry[name].scope for name in differing)
    whole_target = integrity.digests.release if target.source_state_id else target.digest
    return RollbackPlan(
        subject=subject,
        target=target,
        current=current,
        wanted=wanted,
        snapshot=snapshot,
        before=before,
        expected=expected,
        whole_target=whole_target,
        moved=not _at_current(connection, releases, before.release, whole_target, registry),
        changes={name: difference.changes for name, difference in differing.items()},
        dependencies=dependencies,
        warnings=(*integrity.doubts, *_uncaptured(target, named, names), *dependencies.warnings, *reach(affected)),
        scopes=scopes,
        affected=affected,
        refusal=(_untimely(request, subject, releases, scopes) or dependencies.refusal or _impact(request, affected)),
    )


def _untimely(
    request: Rollback, subject: Subject, releases: RollbackReleases, scopes: frozenset[Scope]
) -> PermanentError | None:
    """Why nobody should go to this release now, whatever it would change of these scopes."""
    return (
        stale_state(request.expected_current_release, releases.current)
        or frozen(releases.freezes.of_change(scopes), request.override_freeze)
        or marked_bad(request, subject, releases)
    )


def marked_bad(request: Rollback, subject: Subject, releases: RollbackReleases) -> ReleaseMarkedBad | None:
    """The refusal of a target that is marked bad; None if it is not, or if that is allowed."""
    said = releases.said
    if request.allow_bad or said is None or said["mark"] != "bad":
        return None
    return ReleaseMarkedBad(
        toolset=subject.path,
        release_number=releases.target.release_number,
        marked_by=said["marked_by"],
        reason=said["reason"],
    )


def _impact(request: Rollback, affected: Sequence[Mapping[str, Any]]) -> SharedStateImpact | None:
    if not affected or request.allow_shared_impact:
        return None
    paths = ", ".join(toolset["path"] for toolset in affected)
    return SharedStateImpact(f"the rollback would change what other toolsets serve: {paths}", toolsets=list(affected))


def with_warning(plan: RollbackPlan, warning: str | None) -> RollbackPlan:
    """The plan with a warning more, if there is one."""
    return plan if warning is None else replace(plan, warnings=(*plan.warnings, warning))


def _expected(
    connection: Connection, wanted: State, captured: StateDigests, dependencies: Dependencies
) -> StateDigests:
    """What is to be restored is what was captured, but for what is skipped."""
    lessened = wanted.only(dependencies.skipped)
    computed = lessened.digests(connection).components if dependencies.skipped else {}
    return StateDigests({**{name: captured[name] for name in wanted.contents}, **computed})


def _at_current(
    connection: Connection, releases: RollbackReleases, live: str, whole_target: str, registry: Registry
) -> bool:
    """The current release holds the live state of this digest."""
    current, target = releases.current, releases.target
    if current is None or current.id == target.id:
        return current is not None and live == whole_target
    return live == current.digest or live == digest_today(connection, current, registry.parts)


def _uncaptured(target: Release, wanted: Sequence[str], selected: Sequence[str]) -> list[str]:
    left = [name for name in wanted if name not in selected]
    if not left:
        return []
    return [f"release {target.release_number} captured no {' and no '.join(left)}: left as they are"]
