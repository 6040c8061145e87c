"""What a rollback would do: read everything, decide everything, write nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.digests import StateDigests
from release_worker.domain.messages import Rollback
from release_worker.domain.release import Release
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import SharedStateImpact
from release_worker.operations.dependencies import Dependencies, settle_dependencies
from release_worker.operations.expectations import check_expected_release
from release_worker.operations.shared_impact import shared_impact
from release_worker.state.live import Difference, differences, digests, live_digests
from release_worker.state.registry import Components
from release_worker.store.captured import captured_contents, captured_parameters, check_integrity, restorable
from release_worker.store.releases import current_and_numbered, original_deployment


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """A rollback, decided. `contents` and `expected` are those of the components that are to be restored, as SQL and as
    digests; `before` are the digests of all live state; `changes` lead from live state to the outcome."""

    subject: Subject
    target: Release
    current: Release | None
    contents: Mapping[str, str]
    parameters: Mapping[str, Any]
    before: StateDigests
    expected: StateDigests
    changes: Mapping[str, ComponentChanges]
    dependencies: Dependencies
    warnings: tuple[str, ...]
    scopes: frozenset[Scope] = field(default_factory=frozenset)

    @property
    def moved(self) -> bool:
        """Live state is not what the current release holds."""
        return self.current is None or self.before.release != self.current.digest

    @property
    def at_target(self) -> bool:
        """Live state is what the target holds, all of it."""
        return self.before.release == self.target.digest

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
    current, target = current_and_numbered(connection, subject, request.release_number)
    check_expected_release(request.expected_current_release, current)
    before = live_digests(connection, components, subject.parameters)
    integrity = check_integrity(connection, target)

    wanted = request.components or components.names
    selected = restorable(connection, target, [name for name in components.names if name in wanted])
    live = {component.name: component.capture() for component in components}
    parameters: dict[str, Any] = {
        **subject.parameters,
        **captured_parameters(target),
        "original_deployment_id": original_deployment(connection, target),
    }
    dependencies = settle_dependencies(
        connection, target, request.on_missing, selected=selected, live=live, parameters=parameters
    )
    contents = {**captured_contents(selected), **dependencies.without_skipped(captured_contents(selected))}
    parameters |= dependencies.parameters

    expected = _expected(connection, contents, integrity.digests, dependencies, parameters)
    differing = _differing(connection, components, contents, before, expected, parameters) | dependencies.added
    changes = {name: difference.changes for name, difference in differing.items()}
    affected = shared_impact(
        connection,
        {name: difference.keys for name, difference in differing.items()},
        live=live,
        target={**captured_contents(components.names), **contents},
        plug_in_scopes={component.name: component.scope for component in components.plug_ins},
        parameters=parameters,
    )
    if affected and not request.allow_shared_impact:
        paths = ", ".join(toolset["path"] for toolset in affected)
        raise SharedStateImpact(f"the rollback would change what other toolsets serve: {paths}", toolsets=affected)

    return RollbackPlan(
        subject=subject,
        target=target,
        current=current,
        contents=contents,
        parameters=parameters,
        before=before,
        expected=expected,
        changes=changes,
        dependencies=dependencies,
        warnings=(*integrity.doubts, *_uncaptured(target, wanted, selected), *dependencies.warnings, *_reach(affected)),
        scopes=frozenset(components[name].scope for name in changes),
    )


def _expected(
    connection: Connection,
    contents: Mapping[str, str],
    captured: StateDigests,
    dependencies: Dependencies,
    parameters: Mapping[str, Any],
) -> StateDigests:
    """What is to be restored is what was captured, but for what is skipped."""
    lessened = {name: contents[name] for name in dependencies.skipped}
    computed = digests(connection, lessened, parameters).components if lessened else {}
    return StateDigests({**{name: captured[name] for name in contents}, **computed})


def _differing(
    connection: Connection,
    components: Components,
    contents: Mapping[str, str],
    before: StateDigests,
    expected: StateDigests,
    parameters: Mapping[str, Any],
) -> dict[str, Difference]:
    """What differs, looked at only where the digests do."""
    found = {
        name: differences(connection, components[name], components[name].capture(), content, parameters)
        for name, content in contents.items()
        if before[name] != expected[name]
    }
    return {name: difference for name, difference in found.items() if difference.changes}


def _uncaptured(target: Release, wanted: Sequence[str], selected: Sequence[str]) -> list[str]:
    left = [name for name in wanted if name not in selected]
    if not left:
        return []
    return [f"release {target.release_number} captured no {' and no '.join(left)}: left as they are"]


def _reach(affected: list[dict[str, Any]]) -> list[str]:
    return [f"changes what {one['path']} serves: {', '.join(one['components'])}" for one in affected]
