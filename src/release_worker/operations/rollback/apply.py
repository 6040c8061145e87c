"""Do what a rollback plans: back up, restore, read back, record."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import Rollback, RollbackResult
from release_worker.domain.subject import Scope
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
from release_worker.operations.rollback.plan import RollbackPlan
from release_worker.operations.rollback.results import result_of
from release_worker.state.providers import add
from release_worker.state.registry import Registry
from release_worker.state.states import live_state
from release_worker.state.work import Work
from release_worker.store.capturing import Predecessor, Stamp
from release_worker.store.owners.holding import touch_owners
from release_worker.store.owners.pointing import set_current_release
from release_worker.store.rollbacks import RollbackRecord, record_rollback


def apply(work: Work, request: Rollback, plan: RollbackPlan, *, held: frozenset[Scope]) -> RollbackResult:
    """Do what was planned, with everything held that was planned from, and `held` for writing.

    Raises the plan's refusal; IntegrityMismatch if live state, read back, is not what was to be restored;
    VersionConflict if another transaction was first; MoreToHold.
    """
    connection, registry, step = work.connection, work.registry, work.timings.step
    if plan.refusal is not None:
        raise plan.refusal
    if plan.noop:
        return result_of(plan, request)
    if more := plan.scopes - held:
        raise MoreToHold(more)
    stamp = Stamp("backup", request.actor, request_id=work.request_id)
    backup = _back_up(work, plan, stamp)
    with step("restore"):
        _restore(connection, plan, registry)
        touch_owners(connection, plan.subject, plan.scopes)
        rollback_id = record_rollback(connection, _record(plan, request, backup, work.request_id))
    with step("read_back"):
        fire_triggers(connection)
        after = _read_back(connection, plan, registry)
    with step("settle"):
        outcome = _settle(connection, plan, registry, after, stamp)
    return result_of(plan, request, backup=backup, outcome=outcome, rollback_id=rollback_id)


def _back_up(work: Work, plan: RollbackPlan, stamp: Stamp) -> Release | None:
    """Keep live state that no release holds and that is about to be overwritten, so that this can be undone."""
    if not plan.backs_up:
        return None
    notes = f"live state before the rollback to release {plan.target.release_number}"
    with work.timings.step("capture"):
        return _capture(work.connection, plan, work.registry, replace(stamp, notes=notes))


def _restore(connection: Connection, plan: RollbackPlan, registry: Registry) -> None:
    restore(connection, registry, plan.wanted, plan.changes)
    live = live_state(registry, plan.subject)
    add(connection, plan.dependencies.additions, live=live, snapshot=plan.snapshot)


def _read_back(connection: Connection, plan: RollbackPlan, registry: Registry) -> StateDigests:
    """The digests of live state now. Raises VersionConflict if others have changed it meanwhile, and IntegrityMismatch
    if anything else is not as planned."""
    live = live_state(registry, plan.subject)
    after = live.digests(connection)
    planned: Mapping[str, str | None] = {**plan.before.components, **plan.expected.components}
    wrong = unlike({name: planned[name] for name in planned if name not in plan.dependencies.added}, after)
    wrong += [
        {"object": urn, "stored": "provided again", "computed": "missing"}
        for urn in still_missing(connection, plan.dependencies, live)
    ]
    seen = [Seen(plan.subject, plan.before)]
    refuse_what_is_wrong(connection, registry, wrong, restored=plan.changes, seen=seen)
    return after


def _settle(
    connection: Connection, plan: RollbackPlan, registry: Registry, after: StateDigests, stamp: Stamp
) -> Release:
    """The release that holds the outcome, which is current now: the target, or a new one if the outcome is not all of
    it."""
    outcome = plan.target
    if after.release != plan.whole_target:
        notes = f"outcome of a rollback to release {plan.target.release_number} that did not restore all of it"
        outcome = _capture(connection, plan, registry, replace(stamp, kind="restored", notes=notes))
        if outcome.digest != after.release:
            raise VersionConflict(reason="live state was changed meanwhile")
        set_current_release(connection, plan.subject, outcome.id)
    return outcome


def _capture(connection: Connection, plan: RollbackPlan, registry: Registry, stamp: Stamp) -> Release:
    predecessor = Predecessor(None if plan.current is None else plan.current.id)
    release = capture(connection, plan.subject, registry, predecessor=predecessor, stamp=stamp).release
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
