"""What Prometheus is shown, from figures that are given; and one reading for all who ask."""

import json
import math
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from structlog.testing import capture_logs

from release_worker.domain.requests.kinds import KINDS
from release_worker.errors import DatabaseUnavailable
from release_worker.metrics import catalogue
from release_worker.metrics.catalogue import METRICS
from release_worker.metrics.exposition import as_json, as_text
from release_worker.metrics.figures import Distribution, Figures, _distribution, nothing
from release_worker.metrics.reading import SharedReading
from release_worker.store.measuring import BOUNDS, Total
from tests.support.metrics import samples

FIGURES = Figures(
    {catalogue.UP: {(): 1.0}, catalogue.ATTEMPTS: {("rollback", "failed"): 2.0, ("rollback", "expired"): 1.0}},
    {catalogue.STEP: {("rollback", "plan"): Distribution({0.5: 1, 1.0: 0, math.inf: 2}, 7.25)}},
)


def test_names_are_those_of_prometheus_and_each_is_told_once() -> None:
    assert len({metric.full_name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"release_worker_[a-z_]+", metric.full_name)
        assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels)
        assert metric.about
        assert metric.full_name.endswith("_seconds") or metric.type != "histogram"


def test_no_label_holds_what_people_make() -> None:
    bounded = {"kind", "status", "outcome", "error", "queue", "state", "step", "table", "version", "drift"}
    assert {label for metric in METRICS for label in metric.labels} <= bounded


def test_all_of_the_catalogue_is_in_the_list_of_it() -> None:
    named = [value for value in vars(catalogue).values() if isinstance(value, catalogue.Metric)]
    assert sorted(metric.name for metric in METRICS) == sorted(metric.name for metric in named)


def test_counters_and_histograms_are_written_as_prometheus_reads_them() -> None:
    assert samples(as_text(FIGURES)) == {
        "release_worker_up": 1,
        'release_worker_attempts_total{kind="rollback",outcome="expired"}': 1,
        'release_worker_attempts_total{kind="rollback",outcome="failed"}': 2,
        'release_worker_step_seconds_bucket{kind="rollback",le="0.5",step="plan"}': 1,
        'release_worker_step_seconds_bucket{kind="rollback",le="1.0",step="plan"}': 1,
        'release_worker_step_seconds_bucket{kind="rollback",le="+Inf",step="plan"}': 3,
        'release_worker_step_seconds_count{kind="rollback",step="plan"}': 3,
        'release_worker_step_seconds_sum{kind="rollback",step="plan"}': 7.25,
    }


def test_both_formats_say_the_same() -> None:
    def said(families: Iterable[Family]) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
        return {(one.name, tuple(one.labels.items()), one.value) for family in families for one in family.samples}

    in_prometheus, openmetrics = said(parse(as_text(FIGURES))), as_text(FIGURES, openmetrics=True)
    assert openmetrics.endswith("# EOF\n")
    assert said(parse_openmetrics(openmetrics)) == in_prometheus  # type: ignore[no-untyped-call]
    as_objects = json.loads(json.dumps(as_json(FIGURES)))
    assert {(one["name"], one["value"]) for one in as_objects} == {(name, value) for name, _, value in in_prometheus}


def test_of_a_database_that_does_not_answer_only_that_is_shown() -> None:
    assert samples(as_text(nothing())) == {
        "release_worker_up": 0,
        f'release_worker_build_info{{version="{version("release-worker")}"}}': 1,
    }


def test_bounds_of_an_older_version_count_for_the_next_one_of_today() -> None:
    totals = [Total("attempt", "rollback", "", bound, 1, 0.5) for bound in (0.0002, 0.3, 0.5, 599, 10_000, math.inf)]
    found = _distribution(totals)
    assert {bound: count for bound, count in found.counts.items() if count} == {0.001: 1, 0.5: 2, 600.0: 1, math.inf: 2}
    assert tuple(found.counts) == (*BOUNDS, math.inf)


def test_each_kind_and_queue_has_a_value_from_the_start() -> None:
    for metric in (catalogue.REQUESTS_FINISHED, catalogue.ATTEMPTS, catalogue.RETRIES, catalogue.REQUESTS):
        assert {labels[0] for labels in metric.always} == set(KINDS)
    assert {labels[0] for labels in catalogue.OLDEST_QUEUED.always} == {kind.queue for kind in KINDS.values()}


class Source:
    """Readings that a test lets end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self.has_begun = threading.Event()
        self.error: BaseException | None = None

    def __call__(self) -> Figures:
        self.begun += 1
        self.has_begun.set()
        assert self.may_end.wait(60)
        if self.error is not None:
            raise self.error
        return FIGURES


@pytest.fixture
def source() -> Source:
    return Source()


def test_all_who_ask_while_one_reads_are_given_what_it_reads(source: Source) -> None:
    shared = SharedReading(source, kept_for=600, patience=60)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(shared) for _ in range(20)]
        assert source.has_begun.wait(60)
        source.may_end.set()
        assert {id(one.result()) for one in asked} == {id(FIGURES)}
    assert (source.begun, shared() is FIGURES) == (1, True)


def test_an_answer_that_is_old_is_read_again(source: Source) -> None:
    source.may_end.set()
    shared = SharedReading(source, kept_for=0)
    assert [shared() is FIGURES for _ in range(3)] == [True] * 3
    assert source.begun == 3


def test_a_reading_that_hangs_is_not_waited_for_and_none_is_begun_beside_it(source: Source) -> None:
    shared = SharedReading(source, kept_for=0, patience=0.01)
    with capture_logs() as logs:
        assert [shared().values[catalogue.UP] for _ in range(5)] == [{(): 0.0}] * 5
        assert source.begun == 1
        source.may_end.set()
        shared._patience = 60
        assert shared() is FIGURES
    assert [line["event"] for line in logs] == ["metrics_cannot_be_read", "metrics_can_be_read_again"]


def test_a_database_that_is_away_is_asked_again_later_and_told_once(source: Source) -> None:
    source.may_end.set()
    source.error = DatabaseUnavailable(reason="no")
    shared = SharedReading(source, kept_for=0)
    with capture_logs() as logs:
        assert [shared().values[catalogue.UP] for _ in range(3)] == [{(): 0.0}] * 3
        source.error = None
        assert shared() is FIGURES
    assert [line["event"] for line in logs] == ["metrics_cannot_be_read", "metrics_can_be_read_again"]


def test_a_defect_is_logged_and_shown_as_no_answer(source: Source) -> None:
    source.may_end.set()
    source.error = ZeroDivisionError()
    with capture_logs() as logs:
        assert SharedReading(source)().values[catalogue.UP] == {(): 0.0}
    assert [line["event"] for line in logs] == ["metrics_broke", "metrics_cannot_be_read"]
