"""Every error that a caller can meet.

    ReleaseWorkerError
    ├── PermanentError              trying again changes nothing
    │   ├── InvalidRequest
    │   ├── NotConfigured
    │   ├── ToolsetNotFound
    │   ├── OwnerNotFound
    │   ├── NameTaken
    │   ├── ReleaseNotFound
    │   ├── RequestNotFound
    │   ├── RequestNotQueued
    │   ├── RequestCancelled
    │   ├── ScheduleNotFound
    │   ├── ScheduleExists
    │   ├── ScheduleMissed
    │   ├── EventNotFound
    │   ├── SubscriptionNotFound
    │   ├── IdempotencyConflict
    │   ├── StaleState
    │   ├── ReleaseMarkedBad
    │   ├── Frozen
    │   ├── FreezeNotFound
    │   ├── MissingDependencies
    │   ├── SharedStateImpact
    │   ├── IntegrityMismatch
    │   ├── UnsupportedContent
    │   ├── ComponentFailed
    │   ├── WorkerLost
    │   └── UnexpectedFailure
    └── TransientError              the task policy tries again, with exponential backoff and jitter
        ├── LockUnavailable
        ├── VersionConflict
        ├── DatabaseUnavailable
        ├── OperationTimeout
        ├── BrokerUnavailable
        ├── ResultTimeout           raised to a waiting caller only; the request itself goes on
        └── ResultUnavailable       likewise

An error is a value: its class, one sentence, and `details`, a JSON object of its fields. The ledger stores it as
`{type, message, details}`, and Celery's JSON result backend rebuilds it from `args`: both give a caller the same
object. This module imports nothing of ours, so that a caller can catch these without the worker's dependencies.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar


class ReleaseWorkerError(Exception):
    """The release worker failed."""

    sentence: ClassVar[str] = ""

    def __init__(self, message: str | None = None, details: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        self.details: dict[str, Any] = {**(details or {}), **fields}
        self.message = message if message is not None else self._default_message()
        super().__init__(self.message, self.details)

    def __str__(self) -> str:
        return self.message

    def _default_message(self) -> str:
        template = type(self).sentence or (type(self).__doc__ or "").splitlines()[0]
        return template.format_map(defaultdict(lambda: "?", self.details))

    def as_record(self) -> dict[str, Any]:
        """`{type, message, details}`, as `release_requests.error` holds it."""
        return {"type": type(self).__name__, "message": self.message, "details": self.details}


class PermanentError(ReleaseWorkerError):
    """The request cannot succeed, however often it is tried."""


class TransientError(ReleaseWorkerError):
    """The request may succeed when it is tried again."""


class InvalidRequest(PermanentError):
    """The request is malformed; `problems` lists each `{field, problem}`."""

    sentence = "the request is not valid"


class NotConfigured(PermanentError):
    """A setting that this needs is missing or wrong; `setting` names it."""

    sentence = "{setting} is not set"


class ToolsetNotFound(PermanentError):
    """No live toolset has this id or path (`toolset`)."""

    sentence = "there is no toolset {toolset}"


class OwnerNotFound(PermanentError):
    """No project or organization (`scope`) has this path, slug or id (`name`)."""

    sentence = "there is no {scope} {name}"


class NameTaken(PermanentError):
    """There is a toolset, a project or an organization (`scope`) of this path or slug (`name`) already."""

    sentence = "{scope} {name} is there already"


class ReleaseNotFound(PermanentError):
    """The toolset (`toolset`) has no release of this number (`release_number`)."""

    sentence = "toolset {toolset} has no release {release_number}"


class RequestNotFound(PermanentError):
    """The ledger has no request of this id (`request_id`)."""

    sentence = "there is no request {request_id}"


class RequestNotQueued(PermanentError):
    """Request `request_id` cannot be cancelled: it is not queued, but `status`."""

    sentence = "request {request_id} is {status}: only a queued request can be cancelled"


class RequestCancelled(PermanentError):
    """Request `request_id` was cancelled while it was queued, by `cancelled_by`, who may have given a `reason`."""

    sentence = "request {request_id} was cancelled by {cancelled_by}"


class ScheduleNotFound(PermanentError):
    """There is no schedule of this name (`schedule`) in the organization, or in any if none was named."""

    sentence = "there is no schedule {schedule}"


class ScheduleExists(PermanentError):
    """The organization (`organization`) has a schedule of this name (`schedule`)."""

    sentence = "organization {organization} has a schedule {schedule} already"


class ScheduleMissed(PermanentError):
    """The only instant of a schedule (`instant`) came when no worker was there, and is too long ago to be caught up.

    It is the reason of a suspended schedule, and never raised to a caller."""

    sentence = "its instant {instant} was missed: no worker was there, and it is too long ago to be caught up"


class EventNotFound(PermanentError):
    """There is no event of this id (`event_id`), or none any more."""

    sentence = "there is no event {event_id}"


class SubscriptionNotFound(PermanentError):
    """There is no subscription of this id (`subscription_id`)."""

    sentence = "there is no subscription {subscription_id}"


class IdempotencyConflict(PermanentError):
    """`idempotency_key` was used before, by request `request_id`, for something else: `differing` names the fields."""

    sentence = "idempotency key {idempotency_key!r} was used before with another payload, by request {request_id}"


class StaleState(PermanentError):
    """The current release is `current_release_number`, not the `expected_current_release` of the caller.

    If a plan (`plan_id`) was to be applied, `moved` names what has changed since the plan was made."""

    sentence = "expected release {expected_current_release} to be current, but it is {current_release_number}"


class ReleaseMarkedBad(PermanentError):
    """`marked_by` said that release `release_number` of `toolset` is bad, and perhaps why (`reason`)."""

    sentence = "release {release_number} of {toolset} is marked bad"


class Frozen(PermanentError):
    """The toolsets of `scope`, a project's or an organization's path, are to stay as they are from `starts_at` until
    `ends_at`, for a `reason`; `id` is the freeze's. `override_freeze` of the request does it all the same."""

    sentence = (
        "{scope} is frozen until {ends_at} (override it with --override-freeze REASON or override_freeze): {reason}"
    )


class FreezeNotFound(PermanentError):
    """There is no freeze of this id (`freeze`)."""

    sentence = "there is no freeze {freeze}"


class MissingDependencies(PermanentError):
    """Nothing would provide these after the rollback: `tools` and `resources` list every URN."""

    sentence = "nothing would provide some of what the release served"


class SharedStateImpact(PermanentError):
    """Other toolsets would serve something else: `toolsets` lists each `{id, path, components}`."""

    sentence = "the rollback would change what other toolsets serve"


class IntegrityMismatch(PermanentError):
    """A digest is not that of its content: `objects` lists each `{object, stored, computed}`."""

    sentence = "stored content does not have the digest it was stored with"


class UnsupportedContent(PermanentError):
    """Some JSON is nested too deeply to be captured or shown (`reason`); `place` is its component and key, if known."""

    sentence = "some content is not supported: {reason}"


class ComponentFailed(PermanentError):
    """A component that a plug-in added (`component`) has broken SQL, or state that it cannot handle (`reason`)."""

    sentence = "component {component} failed: {reason}"


class WorkerLost(PermanentError):
    """Each of the `attempts` ended with the loss of its worker; the request itself may be what kills it."""

    sentence = "the worker was lost in each of {attempts} attempts"


class UnexpectedFailure(PermanentError):
    """The operation broke (`reason`): a defect here or in a plug-in, not in the request."""

    sentence = "the operation failed unexpectedly: {reason}"


class LockUnavailable(TransientError):
    """Another worker is busy with the toolset (`toolset_id`)."""

    sentence = "another worker is busy with toolset {toolset_id}"


class VersionConflict(TransientError):
    """Another transaction changed the same rows first, or holds a row of `relation` (`reason`)."""

    sentence = "another transaction changed the same rows first: {reason}"


class DatabaseUnavailable(TransientError):
    """PostgreSQL cannot be reached or used now, or the connection was lost (`reason`)."""

    sentence = "the database cannot be used now: {reason}"


class OperationTimeout(TransientError):
    """The operation took longer than the worker's soft time limit and was stopped; nothing of it remains."""


class BrokerUnavailable(TransientError):
    """The broker cannot be reached (`reason`); `request_id` is set if the request itself was kept."""

    sentence = "the broker cannot be reached: {reason}"


class ResultTimeout(TransientError):
    """Request `request_id` has not finished within `timeout` seconds; it is still `status`, and goes on.

    The ledger adds `attempts` and, if it is to be tried again, `next_attempt_at` and `last_error`, an error's record.
    """

    sentence = "request {request_id} has not finished after {timeout} s; it is {status}"


class ResultUnavailable(TransientError):
    """Nobody can say now what became of request `request_id` (`reason`); it is kept, and goes on."""

    sentence = "the result of request {request_id} cannot be read now: {reason}"


def from_record(record: Mapping[str, Any]) -> ReleaseWorkerError:
    """The error that `as_record` described; a `ReleaseWorkerError` if the class is unknown here."""
    known = {error.__name__: error for error in _subclasses(ReleaseWorkerError)}
    error_class = known.get(record["type"], ReleaseWorkerError)
    return error_class(record["message"], record.get("details") or {})


def _subclasses(error_class: type[ReleaseWorkerError]) -> list[type[ReleaseWorkerError]]:
    direct = error_class.__subclasses__()
    return direct + [deeper for one in direct for deeper in _subclasses(one)]


# The names of all errors of this tree; those of plug-ins are not among them.
ERROR_NAMES = tuple(sorted(one.__name__ for one in _subclasses(ReleaseWorkerError)))
