"""Roll a toolset back to a release: all of it, or the chosen components, exactly or not at all."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import Rollback, RollbackResult, check_component_names
from release_worker.errors import VersionConflict
from release_worker.operations.capture import capture
from release_worker.operations.restoring import (
    MoreToHold,
    Seen,
    fire_triggers,
    refuse_what_is_wrong,
    restore,
    unlike,
)
from release_worker.operations.rollback.dependencies import still_missing
from release_worker.operations.rollback.holding import hold_for_rollback
from release_worker.operations.rollback.plan import RollbackPlan, plan_rollback
from release_worker.state.providers import add
from release_worker.state.registry import Components
from release_worker.state.states import live_state
from release_worker.state.work import Work
from release_worker.store.capturing import Stamp
from release_worker.store.owners.holding import touch_owners
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.pointing import set_current_release
from release_worker.store.releases import releases_of_rollback
from release_worker.store.rollbacks import RollbackRecord, record_rollback


def rollback(work: Work, request: Rollback) -> RollbackResult:
    """Hold what is needed, plan, restore, read back, record. A dry run only plans, and holds nothing.

    Raises ToolsetNotFound, InvalidRequest (an
    unknown component), and what `plan_rollback` raises; IntegrityMismatch if live state, read back, is not what was to
    be restored; VersionConflict if another transaction was first; MoreToHold.
    """
    connection, components = work.connection, work.registry
    check_component_names(request.components, components.names)
    if request.dry_run:
        subject = toolset_of_id(connection, work.toolset_id)
        releases = releases_of_rollback(connection, subject, request.release_number)
        return _result(plan_rollback(connection, request, components, subject=subject, releases=releases), request)
    held = hold_for_rollback(connection, request, work.toolset_id, components, written=work.written)
    plan = plan_rollback(connection, request, components, subject=held.subject, releases=held.releases)
    if plan.noop:
        return _result(plan, request)
    if more := plan.scopes - held.scopes:
        raise MoreToHold(more)
    stamp = Stamp("backup", request.actor, request_id=work.request_id)
    backup = _back_up(connection, plan, components, stamp)
    _restore(connection, plan, components)
    touch_owners(connection, plan.subject, plan.scopes)
    rollback_id = record_rollback(connection, _record(plan, request, backup, work.request_id))
    fire_triggers(connection)
    after = _read_back(connection, plan, components)
    outcome = _settle(connection, plan, components, after, stamp)
    return _result(plan, request, backup=backup, outcome=outcome, rollback_id=rollback_id)


def _back_up(connection: Connection, plan: RollbackPlan, components: Components, stamp: Stamp) -> Release | None:
    """Keep live state that no release holds and that is about to be overwritten, so that this can be undone."""
    if not plan.moved or not plan.changes:
        return None
    notes = f"live state before the rollback to release {plan.target.release_number}"
    return _capture(connection, plan, components, replace(stamp, notes=notes))


def _restore(connection: Connection, plan: RollbackPlan, components: Components) -> None:
    restore(connection, components, plan.wanted, plan.changes)
    live = live_state(components, plan.subject)
    add(connection, plan.dependencies.additions, live=live, snapshot=plan.snapshot)


def _read_back(connection: Connection, plan: RollbackPlan, components: Components) -> StateDigests:
    """The digests of live state now. Raises VersionConflict if others have changed it meanwhile, and IntegrityMismatch
    if anything else is not as planned."""
    live = live_state(components, plan.subject)
    after = live.digests(connection)
    planned: Mapping[str, str | None] = {**plan.before.components, **plan.expected.components}
    wrong = unlike({name: planned[name] for name in planned if name not in plan.dependencies.added}, after)
    wrong += [
        {"object": urn, "stored": "provided again", "computed": "missing"}
        for urn in still_missing(connection, plan.dependencies, live)
    ]
    seen = [Seen(plan.subject, plan.before)]
    refuse_what_is_wrong(connection, components, wrong, restored=plan.changes, seen=seen)
    return after


def _settle(
    connection: Connection, plan: RollbackPlan, components: Components, after: StateDigests, stamp: Stamp
) -> Release:
    """The release that holds the outcome, which is current now: the target, or a new one if the outcome is not all of
    it."""
    outcome = plan.target
    if after.release != plan.whole_target:
        notes = f"outcome of a rollback to release {plan.target.release_number} that did not restore all of it"
        outcome = _capture(connection, plan, components, replace(stamp, kind="restored", notes=notes))
        if outcome.digest != after.release:
            raise VersionConflict(reason="live state was changed meanwhile")
        set_current_release(connection, plan.subject, outcome.id)
    return outcome


def _capture(connection: Connection, plan: RollbackPlan, components: Components, stamp: Stamp) -> Release:
    release = capture(connection, plan.subject, components=components, current=plan.current, stamp=stamp)
    assert release is not None, "a capture without a condition"
    return release


def _record(plan: RollbackPlan, request: Rollback, backup: Release | None, request_id: str | None) -> RollbackRecord:
    return RollbackRecord(
        toolset_id=plan.subject.toolset_id,
        from_release_id=plan.current.id if plan.current else None,
        to_release_id=plan.target.id,
        backup_release_id=backup.id if backup else None,
        components=tuple(plan.wanted.contents),
        changes={name: changed.as_json() for name, changed in plan.changes.items()},
        reason=request.reason,
        rolled_back_by=request.actor,
        request_id=request_id,
    )


def _result(
    plan: RollbackPlan,
    request: Rollback,
    *,
    backup: Release | None = None,
    outcome: Release | None = None,
    rollback_id: UUID | None = None,
) -> RollbackResult:
    warnings = plan.warnings
    if request.dry_run and plan.moved and plan.changes:
        warnings = (*warnings, "live state has edits that no release contains; a backup keeps them first")
    current = outcome or plan.current
    return RollbackResult(
        rollback_id=rollback_id,
        toolset_id=plan.subject.toolset_id,
        from_release_number=plan.current.release_number if plan.current else None,
        to_release_number=plan.target.release_number,
        current_release_number=current.release_number if current else None,
        backup_release_number=backup.release_number if backup else None,
        components=tuple(plan.wanted.contents),
        changes=dict(plan.changes),
        warnings=warnings,
        noop=plan.noop,
        dry_run=request.dry_run,
    )
