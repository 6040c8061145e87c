"""Every wait and limit that depends on another, and the rules between them.

All of them are seconds, but for those that count. `DEFAULTS` is what holds if a deployment sets nothing; `limits_for`
derives the rest from what it sets; `broken_rules` says what does not fit together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers. `RULES` says how they depend on each other."""

    # A task.
    soft_time_limit: float = 90  # then the request is put back into the queue
    hard_time_limit: float = 120  # then its process is killed; Celery's handlers for that do no work in the database
    lock_wait: float = 2.0  # for which a task occupies its slot if the toolset is busy
    turn: float = 20.0  # then a task that still has others before it goes to the back of the queue

    # A worker's hold on a toolset.
    lease: float = 15.0  # for which a silent worker is believed to be at work, and its lock stays
    renew_every: float = 5.0
    lock_socket_timeout: float = 5.0  # of the lock's connection to Redis
    heartbeat_close: float = 5.0  # for which a heartbeat that is stuck in a call is waited for

    # PostgreSQL.
    statement_timeout: float = 80  # should nobody be there any more to cancel a statement
    cancel_timeout: float = 5.0  # for which the server is asked to end a statement
    idle_in_transaction_timeout: float = 30  # a worker that is stopped in mid-transaction loses its session, and locks
    operation_lock_timeout: float = 0.5
    owner_wait: float = 0.5  # for each row of an owner that an attempt found busy, before the next attempt
    ledger_lock_timeout: float = 10  # also for a transaction that uses the same idempotency key
    deadlock_timeout: ClassVar[float] = 1.0  # PostgreSQL's default; nothing here sets it

    # Trying again: at once after a conflict, then as a task that Celery brings back.
    immediate_tries: int = 5
    immediate_delay: float = 0.005
    attempts: int = 10  # of an operation, over all workers, before its request fails
    retries: int = 40  # of a task, most of them spent waiting for another worker: some ten minutes
    first_delay: float = 0.2  # doubles with each retry, up to the longest; jitter takes up to half of it away
    longest_delay: float = 20.0
    delay_after_loss: float = 5  # of a task whose process was lost

    # Fairness between toolsets.
    crowd: int = 4  # unfinished requests of a toolset; a further one goes behind the first ones of other toolsets

    # The broker.
    visibility_timeout: float = 300  # then a message that was not acknowledged is delivered again
    restore_interval: float = 5  # recovery takes the visibility timeout and one of these
    restore_mutex: float = 60  # for which a worker that dies while it restores keeps the others from it

    # The sweeper.
    patience: float = 15.0  # for which a request may wait before its message counts as lost
    sweep_interval: float = 5.0

    # A release without a claim, if the current one holds at most so much: then a capture is a matter of milliseconds.
    at_once_entries: int = 2_000  # listed tools and resources
    at_once_bytes: int = 1_000_000  # as stored, of the project's deployment and configuration

    # Watching: after which an operation says which step it is at, and then at each step that lasts as long.
    progress_interval: float = 1.0
    events_wait: float = 0.05  # of Celery's events of tasks, for others to go with them

    # Between two passes over the ledger that delete what is old.
    tidy_interval: float = 900.0

    # Between two looks whether toolsets have drifted.
    drift_interval: float = 300.0

    # Signs of life, for probes.
    sign_interval: float = 5.0  # of a worker; a beat gives one with each of its ticks
    sign_lapse: float = 30.0  # then a process that gave no further sign counts as stuck

    # What metrics count: how long it may wait to be added to the totals, which changes no number that is shown.
    fold_interval: float = 15.0

    # Schedules.
    tick_interval: float = 5.0
    on_time: float = 60.0  # for which an instant may be late and is not missed

    # Events: how often there is a look for what is to be told.
    deliver_interval: float = 2.0
    deliver_run: float = 8.0  # for which a run of the deliverer begins attempts
    deliver_attempt: float = 10.0  # for which one receiver has time to answer
    deliver_lease: float = 40.0  # for which a run that went silent keeps its receivers

    # TERM and QUIT let what runs finish, for so long.
    soft_shutdown_timeout: float = 60

    @property
    def longest_countdown(self) -> float:
        """For which a message may lie unacknowledged in a worker before its task begins."""
        return max(self.longest_delay, self.delay_after_loss)

    @property
    def shortest_wait_in_all(self) -> float:
        """For which a request waits for its toolset at least, over all retries of its task, before it is given up."""
        delays = (min(self.longest_delay, self.first_delay * 2.0 ** min(retry, 30)) for retry in range(self.retries))
        return sum(delays) / 2


DEFAULTS = Limits()


@dataclass(frozen=True, slots=True)
class Rule:
    """`times` the sum of the limits named in `terms` is `at_most` another."""

    terms: tuple[str, ...]
    at_most: str
    reason: str
    times: int = 1

    def holds(self, limits: Limits) -> bool:
        """Whether these limits keep the rule."""
        allowed: float = getattr(limits, self.at_most)
        return self._sum(limits) <= allowed

    def explain(self, limits: Limits) -> str:
        """The rule in words, with these limits' numbers."""
        terms = " + ".join(self.terms)
        if self.times > 1:
            terms = f"{self.times} * ({terms})"
        found, allowed = self._sum(limits), getattr(limits, self.at_most)
        return f"{terms} = {found:g} must be at most {self.at_most} = {allowed:g}: {self.reason}"

    def _sum(self, limits: Limits) -> float:
        total: float = sum(getattr(limits, name) for name in self.terms)
        return self.times * total


RULES = (
    Rule(
        ("longest_countdown", "lock_wait", "hard_time_limit"), "visibility_timeout", times=2,
        reason="a message that is still waited for or worked must not be delivered again",
    ),
    Rule(
        ("statement_timeout", "cancel_timeout"), "soft_time_limit",
        reason="a statement must have ended in PostgreSQL before its request is put back into the queue",
    ),
    Rule(
        ("soft_time_limit", "cancel_timeout", "heartbeat_close", "ledger_lock_timeout"), "hard_time_limit",
        reason="after the soft limit there must be time to cancel the statement, end the heartbeat and put it back",
    ),
    Rule(
        ("lock_wait", "turn"), "soft_time_limit", times=2,
        reason="the request that a turn ends with must have as much time as those before it took",
    ),
    Rule(
        ("lock_wait", "turn"), "soft_shutdown_timeout",
        reason="a worker that is told to stop must come to the end of its turn",
    ),
    Rule(
        ("renew_every",), "lease", times=3,
        reason="two renewals in a row may fail before a lease runs out",
    ),
    Rule(
        ("renew_every", "lock_socket_timeout"), "lease",
        reason="a renewal that hangs in Redis must not cost the lease in the ledger",
    ),
    Rule(
        ("lock_wait",), "lease",
        reason="a task must not occupy its slot for longer than a worker that died keeps the lock",
    ),
    Rule(
        ("lease", "hard_time_limit"), "shortest_wait_in_all",
        reason="a request must not be given up while the one before it may still be at work",
    ),
    Rule(
        ("attempts",), "retries",
        reason="a request must end with its attempts, and the error of the last, before its task ends",
    ),
    Rule(
        ("idle_in_transaction_timeout",), "soft_time_limit",
        reason="what a stopped worker holds must be free by the time at which its work would have ended",
    ),
    Rule(
        ("operation_lock_timeout",), "deadlock_timeout", times=2,
        reason="an operation must give way before PostgreSQL looks for a deadlock, and for a victim",
    ),
    Rule(
        ("owner_wait",), "deadlock_timeout", times=2,
        reason="an operation must give way before PostgreSQL looks for a deadlock, and for a victim",
    ),
    Rule(
        ("lease",), "patience",
        reason="what waits behind a silent worker cannot be worked before that lease is over",
    ),
    Rule(
        ("sweep_interval",), "patience",
        reason="the sweeper must look at least as often as requests become overdue",
    ),
    Rule(
        ("sign_interval",), "sign_lapse", times=3,
        reason="a worker that is late with a sign of life must not count as stuck",
    ),
    Rule(
        ("sweep_interval",), "sign_lapse", times=3,
        reason="a beat that is late with a tick must not count as stuck",
    ),
    Rule(
        ("tick_interval",), "on_time", times=2,
        reason="a worker that looks at schedules as often as it should must not miss an instant",
    ),
    Rule(
        ("patience", "sweep_interval"), "visibility_timeout",
        reason="the ledger must notice a lost message before the broker delivers it again",
    ),
    Rule(
        ("deliver_run", "deliver_attempt"), "deliver_lease", times=2,
        reason="a run of the deliverer must have ended before the next one sends to the same receivers",
    ),
    Rule(
        ("deliver_interval",), "deliver_run",
        reason="what becomes due must not wait for longer than it would during a run",
    ),
    Rule(
        ("deliver_run", "deliver_attempt"), "soft_time_limit",
        reason="a run of the deliverer must end by itself",
    ),
    Rule(
        ("restore_interval", "restore_mutex"), "visibility_timeout",
        reason="a worker that dies while it restores messages must not keep them for another visibility timeout",
    ),
)  # fmt: skip


def broken_rules(limits: Limits) -> Sequence[Rule]:
    """The rules that these limits do not keep."""
    return [rule for rule in RULES if not rule.holds(limits)]


def limits_for(
    *,
    soft_time_limit: int | None = None,
    hard_time_limit: int | None = None,
    visibility_timeout: int | None = None,
    lease: int | None = None,
) -> Limits:
    """The limits of a deployment that sets some; None leaves a limit to us. They may break rules."""
    soft, hard = _time_limits(soft_time_limit, hard_time_limit)
    held = DEFAULTS.lease if lease is None else lease
    limits = replace(
        DEFAULTS,
        soft_time_limit=soft,
        hard_time_limit=hard,
        statement_timeout=soft - (DEFAULTS.soft_time_limit - DEFAULTS.statement_timeout),
        lease=held,
        renew_every=held / 3,
        patience=max(DEFAULTS.patience, held),
    )
    missing = limits.lease + limits.hard_time_limit - limits.shortest_wait_in_all
    if missing > 0:
        limits = replace(limits, retries=limits.retries + math.ceil(missing / (limits.longest_delay / 2)))
    if visibility_timeout is None:
        longest = 2 * (limits.longest_countdown + limits.lock_wait + limits.hard_time_limit)
        a_full_minute_above = (int(max(longest, limits.patience + limits.sweep_interval)) // 60 + 1) * 60
        visibility_timeout = max(int(DEFAULTS.visibility_timeout), a_full_minute_above)
    return replace(limits, visibility_timeout=visibility_timeout)


def _time_limits(soft: float | None, hard: float | None) -> tuple[float, float]:
    """Both, as far apart as by default if only one is given."""
    apart = DEFAULTS.hard_time_limit - DEFAULTS.soft_time_limit
    if soft is None:
        soft = DEFAULTS.soft_time_limit if hard is None else hard - apart
    return soft, soft + apart if hard is None else hard
