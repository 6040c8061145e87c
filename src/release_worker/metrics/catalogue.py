"""Every metric: its name, its labels, and what it says. docs/reference/metrics.md is made from it.

No label names what people make (toolsets, projects, actors): the number of series does not depend on what they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from release_worker.domain.queues import Queue
from release_worker.domain.release import ReleaseKind
from release_worker.domain.requests.kinds import KINDS
from release_worker.errors import ERROR_NAMES

PREFIX = "release_worker_"


@dataclass(frozen=True, slots=True)
class Metric:
    """`always`: the values of labels, in their order, that are shown even while there is nothing to count: a rate needs
    a first value."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    always: Sequence[tuple[str, ...]] = ()

    @property
    def full_name(self) -> str:
        """As Prometheus knows it."""
        return f"{PREFIX}{self.name}{'_total' if self.type == 'counter' else ''}"


def _each(*values: Sequence[str]) -> Sequence[tuple[str, ...]]:
    return tuple(product(*values))


_KINDS, _RELEASES, _QUEUES = tuple(KINDS), get_args(ReleaseKind), get_args(Queue)
_ENDS = ("succeeded", "failed")
_ATTEMPT_ENDS = (*_ENDS, "postponed", "expired")

UP = Metric("up", "gauge", "1 if the database answered in time; otherwise 0, and nothing else is shown", always=((),))
BUILD_INFO = Metric("build_info", "gauge", "always 1; the version that shows these metrics", ("version",))
SCRAPE_SECONDS = Metric("scrape_seconds", "gauge", "how long it took to read all this from the database")

REQUESTS = Metric(
    "requests",
    "gauge",
    "requests that have not ended",
    ("kind", "status"),
    _each(_KINDS, ("queued", "running")),
)
OLDEST_QUEUED = Metric(
    "oldest_queued_seconds",
    "gauge",
    "age of the oldest request that is queued, since it was asked for; 0 if none is",
    ("queue",),
    _each(_QUEUES),
)
OLDEST_UNPUBLISHED = Metric(
    "oldest_unpublished_seconds",
    "gauge",
    "longest time for which a queued request has waited since it was asked for, due or last published; the sweeper "
    "publishes it again after 15 s, unless the lease is longer",
    always=((),),
)
BEHIND_OTHERS = Metric(
    "requests_behind_others", "gauge", "unfinished requests whose toolset has one before them", always=((),)
)
TO_RETRY = Metric(
    "requests_to_retry",
    "gauge",
    "queued requests that were tried before: due by now, or waiting until they are",
    ("state",),
    _each(("due", "waiting")),
)
LEASES = Metric(
    "leases",
    "gauge",
    "running requests, by their lease: good; or expired, if their worker was not heard of in time. An operation that "
    "holds its request's row for longer than the lease shows as expired, and nobody takes it over",
    ("state",),
    _each(("good", "expired")),
)

REQUESTS_FINISHED = Metric(
    "requests_finished",
    "counter",
    "requests that ended; one that failed, was brought back and ended again counts twice",
    ("kind", "status"),
    _each(_KINDS, _ENDS),
)
ATTEMPTS = Metric(
    "attempts",
    "counter",
    "attempts that ended; postponed: a transient error, and the request is tried again; expired: its worker was lost, "
    "and another took the request over or gave it up",
    ("kind", "outcome"),
    _each(_KINDS, _ATTEMPT_ENDS),
)
RETRIES = Metric(
    "retries",
    "counter",
    "attempts beyond the first since a request was asked for or brought back",
    ("kind",),
    _each(_KINDS),
)
FAILURES = Metric(
    "failures", "counter", "failed requests by the type of their error", ("error",), _each((*ERROR_NAMES, "other"))
)
POSTPONEMENTS = Metric(
    "postponements",
    "counter",
    "postponed attempts by the type of their error",
    ("error",),
    _each((*ERROR_NAMES, "other")),
)
RELEASES = Metric("releases", "counter", "releases that were made", ("kind",), _each(_RELEASES))

QUEUE_WAIT = Metric("queue_wait_seconds", "histogram", "from asking for a request to its first attempt", ("kind",))
REQUEST = Metric(
    "request_seconds",
    "histogram",
    "from asking for a request to its end, waits and retries included; not of one that was brought back",
    ("kind",),
)
ATTEMPT = Metric("attempt_seconds", "histogram", "from a worker's claim to the end of its attempt", ("kind",))
LOCK_WAIT = Metric(
    "lock_wait_seconds",
    "histogram",
    "for how long a task waited for its toolset's lock, if it got it; tasks that waited in vain come again later",
    ("kind",),
)
LOCK_HOLD = Metric(
    "lock_hold_seconds",
    "histogram",
    "for how long an attempt kept its toolset's lock: since it was taken, or since the request before in the same turn",
    ("kind",),
)
STEP = Metric(
    "step_seconds",
    "histogram",
    "parts of an attempt: hold (wait for rows that others hold), plan, capture, restore, read_back, settle",
    ("kind", "step"),
)

TABLE_ROWS = Metric("table_rows", "gauge", "rows, as PostgreSQL estimates them", ("table",))
TABLE_BYTES = Metric("table_bytes", "gauge", "size on disk, with indexes and long values", ("table",))
UNFOLDED = Metric(
    "unfolded_measurements",
    "gauge",
    "what was counted and is not added to the totals yet; it grows if no beat or no worker does the chores",
    always=((),),
)

EVENTS_UNDISPATCHED = Metric(
    "events_undispatched", "gauge", "events that were not handed to their subscriptions yet", always=((),)
)
EVENT_DELIVERIES = Metric(
    "event_deliveries",
    "gauge",
    "deliveries of events that have not arrived: open, or dead if they were given up",
    ("state",),
    _each(("open", "dead")),
)
OLDEST_UNDELIVERED_EVENT = Metric(
    "oldest_undelivered_event_seconds",
    "gauge",
    "age of the oldest event that is not dispatched, or that a subscription which is not paused has still to be given; "
    "0 if there is none",
    always=((),),
)
TOOLSETS = Metric(
    "toolsets",
    "gauge",
    "toolsets with a current release, as drift was seen last: drifted, same, failed (the look told nothing), unchecked",
    ("drift",),
    _each(("drifted", "same", "failed", "unchecked")),
)
OLDEST_DRIFT_LOOK = Metric(
    "oldest_drift_look_seconds",
    "gauge",
    "since the look for drift that is the longest ago; 0 if there was none",
    always=((),),
)
SCHEDULES = Metric(
    "schedules",
    "gauge",
    "schedules: enabled; held until a freeze is over; suspended, because they cannot fire; paused by a person, or over",
    ("state",),
    _each(("enabled", "held", "suspended", "paused")),
)
OLDEST_DUE_SCHEDULE = Metric(
    "oldest_due_schedule_seconds",
    "gauge",
    "for how long the schedule that is most late has been due and has not fired; 0 if none is due",
    always=((),),
)
FREEZES = Metric("freezes", "gauge", "freezes: in force, or to come", ("state",), _each(("active", "planned")))

METRICS: Sequence[Metric] = (
    UP, BUILD_INFO, SCRAPE_SECONDS,
    REQUESTS, OLDEST_QUEUED, OLDEST_UNPUBLISHED, BEHIND_OTHERS, TO_RETRY, LEASES,
    REQUESTS_FINISHED, ATTEMPTS, RETRIES, FAILURES, POSTPONEMENTS, RELEASES,
    QUEUE_WAIT, REQUEST, ATTEMPT, LOCK_WAIT, LOCK_HOLD, STEP,
    TABLE_ROWS, TABLE_BYTES, UNFOLDED,
    EVENTS_UNDISPATCHED, EVENT_DELIVERIES, OLDEST_UNDELIVERED_EVENT,
    TOOLSETS, OLDEST_DRIFT_LOOK, SCHEDULES, OLDEST_DUE_SCHEDULE, FREEZES,
)  # fmt: skip
