"""Make what is staged live, and release it."""

from release_worker.domain.requests.publish import Publish, PublishResult
from release_worker.operations.expectations import check_expected_release, check_not_frozen
from release_worker.operations.restoring import Seen, hold_live_rows
from release_worker.operations.staging.pair import OWN, hold_pair
from release_worker.operations.taking_over import Incoming, plan_take_over, take_over
from release_worker.state.states import live_state, live_state_as
from release_worker.state.work import Work
from release_worker.store.capturing import Stamp
from release_worker.store.owners.staging import delete_copy, editing_mode


def publish(work: Work, request: Publish) -> PublishResult:
    """Give the toolset all that its copy has of its own, and release it; in iteration mode, the copy has served then.

    Raises ToolsetNotFound, also if there is no copy, InvalidRequest for a toolset that is a copy itself, StaleState,
    Frozen, IntegrityMismatch and VersionConflict.
    """
    connection, registry = work.connection, work.registry
    with work.timings.step("hold"):
        parent, copy = hold_pair(connection, work.toolset_id)
        for one in (parent, copy):
            hold_live_rows(connection, registry, one, written=OWN)
    own = registry.of_scope("toolset")
    seen = Seen(copy, live_state(own, copy).digests(connection))
    staged = live_state_as(own, copy, role="copy")
    incoming = Incoming(staged, f"publishing {copy.path}", (seen,))
    plan = plan_take_over(work, parent, incoming)
    check_expected_release(request.expected_current_release, plan.current)
    check_not_frozen(plan.freeze, request.override_freeze)
    stamp = Stamp(
        "release",
        request.actor,
        request_id=work.request_id,
        notes=f"published from {copy.path}" if request.notes is None else request.notes,
        labels=request.labels,
    )
    done = take_over(work, plan, stamp)
    over = editing_mode(connection, parent) == "iteration"
    if over:
        delete_copy(connection, parent, copy)
    return PublishResult(
        release_id=done.release.id,
        release_number=done.release.release_number,
        toolset_id=parent.toolset_id,
        toolset_version=done.release.toolset_version,
        digest=done.release.digest,
        created=done.created,
        backup_release_number=done.backup.release_number if done.backup else None,
        staged_toolset_id=copy.toolset_id,
        discarded=over,
        changes=plan.changes,
    )
