"""The values of all metrics at one moment."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from sqlalchemy import Connection, Engine

from release_worker.domain.requests.kinds import KINDS
from release_worker.metrics import catalogue
from release_worker.metrics.catalogue import Metric
from release_worker.queries import present
from release_worker.store.engine import snapshot_transaction
from release_worker.store.live_snapshot import LIVE_TABLES
from release_worker.store.measuring import BOUNDS, Total, read_totals
from release_worker.store.tables import metadata

Labels = tuple[str, ...]
# A metric, the values of its labels, and its value.
Figure = tuple[Metric, Labels, float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """`counts`: how many durations were at most this bound and above the one before; `seconds`: their sum."""

    counts: Mapping[float, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Values by metric and labels: of counters and gauges, and of histograms."""

    values: Mapping[Metric, Mapping[Labels, float]]
    distributions: Mapping[Metric, Mapping[Labels, Distribution]]


_TOTALS = {
    "requests": catalogue.REQUESTS_FINISHED,
    "attempts": catalogue.ATTEMPTS,
    "retries": catalogue.RETRIES,
    "failures": catalogue.FAILURES,
    "postponements": catalogue.POSTPONEMENTS,
    "releases": catalogue.RELEASES,
    "queue_wait": catalogue.QUEUE_WAIT,
    "request": catalogue.REQUEST,
    "attempt": catalogue.ATTEMPT,
    "lock_wait": catalogue.LOCK_WAIT,
    "lock_hold": catalogue.LOCK_HOLD,
    "step": catalogue.STEP,
}
_TABLES = [name for name in metadata.tables if name not in LIVE_TABLES]


def read_figures(engine: Engine) -> Figures:
    """All of them, as of one moment. Raises DatabaseUnavailable and VersionConflict."""
    began = time.monotonic()
    with snapshot_transaction(engine) as connection:
        totals = [total for total in read_totals(connection) if total.name in _TOTALS]
        figures = [*_counted(totals), *_of_the_ledger(connection), *_of_tables(connection), *_of_others(connection)]
    taken = time.monotonic() - began
    return Figures(_by_metric([*_of_this(), (catalogue.SCRAPE_SECONDS, (), taken), *figures]), _measured(totals))


def nothing() -> Figures:
    """What is shown if the database does not answer in time."""
    return Figures({catalogue.UP: {(): 0.0}, catalogue.BUILD_INFO: {(version("release-worker"),): 1.0}}, {})


def _of_this() -> Iterator[Figure]:
    yield catalogue.UP, (), 1
    yield catalogue.BUILD_INFO, (version("release-worker"),), 1


def _counted(totals: Iterable[Total]) -> Iterator[Figure]:
    for total in totals:
        metric = _TOTALS[total.name]
        if metric.type == "counter":
            yield metric, _labels(metric, total), total.count


def _measured(totals: Iterable[Total]) -> Mapping[Metric, Mapping[Labels, Distribution]]:
    """Bounds that an older version had count for the next one of today's."""
    found: dict[Metric, dict[Labels, list[Total]]] = defaultdict(lambda: defaultdict(list))
    for total in totals:
        metric = _TOTALS[total.name]
        if metric.type == "histogram":
            found[metric][_labels(metric, total)].append(total)
    return {
        metric: {labels: _distribution(several) for labels, several in series.items()}
        for metric, series in found.items()
    }


def _distribution(totals: Iterable[Total]) -> Distribution:
    counts = dict.fromkeys((*BOUNDS, math.inf), 0)
    seconds = 0.0
    for total in totals:
        counts[min(bound for bound in counts if bound >= total.bound)] += total.count
        seconds += total.seconds
    return Distribution(counts, seconds)


def _labels(metric: Metric, total: Total) -> Labels:
    return tuple(total.kind if name == "kind" else total.label for name in metric.labels)


def _of_the_ledger(connection: Connection) -> Iterator[Figure]:
    oldest_unpublished = 0.0
    for found in present.unfinished_requests(connection):
        kind = found.kind if found.kind in KINDS else "other"
        yield catalogue.REQUESTS, (kind, found.status), found.count
        if found.status == "queued":
            queue = KINDS[found.kind].queue if found.kind in KINDS else "maintenance"
            yield catalogue.OLDEST_QUEUED, (queue,), found.oldest
            oldest_unpublished = max(oldest_unpublished, found.unpublished)
        yield catalogue.TO_RETRY, ("due",), found.due
        yield catalogue.TO_RETRY, ("waiting",), found.waiting
        yield catalogue.LEASES, ("good",), found.good
        yield catalogue.LEASES, ("expired",), found.expired
    yield catalogue.OLDEST_UNPUBLISHED, (), oldest_unpublished
    yield catalogue.BEHIND_OTHERS, (), present.behind_others(connection)


def _of_tables(connection: Connection) -> Iterator[Figure]:
    for size in present.table_sizes(connection, _TABLES):
        yield catalogue.TABLE_ROWS, (size.table,), size.rows
        yield catalogue.TABLE_BYTES, (size.table,), size.bytes
    yield catalogue.UNFOLDED, (), present.unfolded_measurements(connection)


def _of_others(connection: Connection) -> Iterator[Figure]:
    events = present.event_backlog(connection)
    yield catalogue.EVENTS_UNDISPATCHED, (), events.undispatched
    yield catalogue.EVENT_DELIVERIES, ("open",), events.open
    yield catalogue.EVENT_DELIVERIES, ("dead",), events.dead
    yield catalogue.OLDEST_UNDELIVERED_EVENT, (), events.oldest
    drift = present.drift_seen(connection)
    for state in ("drifted", "same", "failed", "unchecked"):
        yield catalogue.TOOLSETS, (state,), getattr(drift, state)
    yield catalogue.OLDEST_DRIFT_LOOK, (), drift.oldest_look
    for state, count in present.schedules_by_state(connection).items():
        yield catalogue.SCHEDULES, (state,), count
    yield catalogue.OLDEST_DUE_SCHEDULE, (), present.oldest_due_schedule(connection)
    for state, count in present.freezes_by_state(connection).items():
        yield catalogue.FREEZES, (state,), count


def _by_metric(figures: Iterable[Figure]) -> Mapping[Metric, Mapping[Labels, float]]:
    """Figures of the same labels are added up; of ages, the greatest is the age of all."""
    found: dict[Metric, dict[Labels, float]] = {
        metric: dict.fromkeys(metric.always, 0.0) for metric in catalogue.METRICS if metric.type != "histogram"
    }
    for metric, labels, value in figures:
        known = found[metric].get(labels, 0.0)
        found[metric][labels] = max(known, value) if metric is catalogue.OLDEST_QUEUED else known + value
    return found
