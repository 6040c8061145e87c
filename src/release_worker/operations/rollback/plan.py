"""What a rollback would do: read everything, decide everything, write nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import SharedStateImpact
from release_worker.operations.expectations import check_expected_release
from release_worker.operations.rollback.dependencies import Dependencies, settle_dependencies
from release_worker.operations.rollback.shared_impact import reach, shared_impact
from release_worker.state.differences import differences
from release_worker.state.registry import Components
from release_worker.state.states import State, captured_state, live_state
from release_worker.store.captured import check_integrity, digest_today
from release_worker.store.releases import current_and_numbered


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """A rollback, decided. `wanted` is the state of the components that are to be restored, `expected` its digests, and
    `snapshot` all that the target holds; `before` are the digests of all live state; `changes` lead from live state to
    the outcome. `whole_target` is the digest of live state if it were all that
    the target holds; `moved`: live state is not what the current release holds.
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
    connection: Connection, request: Rollback, components: Components, *, subject: Subject
) -> RollbackPlan:
    """Decide a rollback: in a snapshot, or with everything held that it may change.

    Live state is digested before anything else is looked at: whoever digests it again later knows whether all of this
    was decided from the same state. Raises ReleaseNotFound, StaleState, IntegrityMismatch, MissingDependencies and
    SharedStateImpact.
    """
    current, target, original_deployment = current_and_numbered(connection, subject, request.release_number)
    check_expected_release(request.expected_current_release, current)
    live = live_state(components, subject)
    before = live.digests(connection)
    integrity = check_integrity(connection, target, components.parts)

    named = request.components or components.names
    names = [name for name in components.names if name in named and name in integrity.said]
    original = {"original_deployment_id": original_deployment}
    captured = captured_state(target, components)
    snapshot = State(captured.contents, {**subject.parameters, **captured.parameters, **original})
    selected = snapshot.only(names)
    dependencies = settle_dependencies(connection, request.on_missing, selected=selected, live=live, snapshot=snapshot)
    wanted = selected.without(dependencies.skipped)
    expected = _expected(connection, wanted, integrity.digests, dependencies)

    unequal = [name for name in names if before[name] != expected[name]]
    differing = differences(connection, components, live, wanted, unequal) | dependencies.added
    affected = shared_impact(
        connection,
        {name: difference.keys for name, difference in differing.items()},
        live=live,
        target=wanted.over(snapshot),
        plug_in_scopes={component.name: component.scope for component in components.plug_ins},
    )
    if affected and not request.allow_shared_impact:
        paths = ", ".join(toolset["path"] for toolset in affected)
        raise SharedStateImpact(f"the rollback would change what other toolsets serve: {paths}", toolsets=affected)

    return RollbackPlan(
        subject=subject,
        target=target,
        current=current,
        wanted=wanted,
        snapshot=snapshot,
        before=before,
        expected=expected,
        whole_target=integrity.digests.release if target.source_state_id else target.digest,
        moved=current is None or not _holds(connection, current, before, components),
        changes={name: difference.changes for name, difference in differing.items()},
        dependencies=dependencies,
        warnings=(*integrity.doubts, *_uncaptured(target, named, names), *dependencies.warnings, *reach(affected)),
        scopes=frozenset(components[name].scope for name in differing),
    )


def _expected(
    connection: Connection, wanted: State, captured: StateDigests, dependencies: Dependencies
) -> StateDigests:
    """What is to be restored is what was captured, but for what is skipped."""
    lessened = wanted.only(dependencies.skipped)
    computed = lessened.digests(connection).components if dependencies.skipped else {}
    return StateDigests({**{name: captured[name] for name in wanted.contents}, **computed})


def _holds(connection: Connection, release: Release, digests: StateDigests, components: Components) -> bool:
    """The release holds the state of these digests."""
    held = digests.release == release.digest
    return held or digests.release == digest_today(connection, release, components.parts)


def _uncaptured(target: Release, wanted: Sequence[str], selected: Sequence[str]) -> list[str]:
    left = [name for name in wanted if name not in selected]
    if not left:
        return []
    return [f"release {target.release_number} captured no {' and no '.join(left)}: left as they are"]
