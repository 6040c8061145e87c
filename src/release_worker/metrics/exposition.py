"""Figures as Prometheus and OpenMetrics read them."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from release_worker.metrics.catalogue import METRICS, PREFIX, Metric
from release_worker.metrics.figures import Distribution, Figures


class FigureCollector(Collector):
    """Shows what `read` returns, each time it is asked."""

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        return families(self._read())

    def describe(self) -> list[Family]:
        """Nothing: a registry that asks does not read the database."""
        return []


def registry_of(read: Callable[[], Figures]) -> CollectorRegistry:
    """A registry of ours alone: nothing of this process is shown."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FigureCollector(read))
    return registry


def as_text(figures: Figures, *, openmetrics: bool = False) -> str:
    """In Prometheus' text format, or in that of OpenMetrics."""
    encode, _ = choose_encoder("application/openmetrics-text" if openmetrics else "text/plain")
    return encode(registry_of(lambda: figures)).decode()


def as_json(figures: Figures) -> list[dict[str, Any]]:
    """Every sample: `{name, type, labels, value}`; the bound of a bucket is the label `le`."""
    return [
        {"name": sample.name, "type": family.type, "labels": dict(sample.labels), "value": sample.value}
        for family in families(figures)
        for sample in family.samples
    ]


def families(figures: Figures) -> Iterator[Family]:
    """In the order of the catalogue."""
    for metric in METRICS:
        if metric.type == "histogram":
            yield _histogram(metric, figures)
        elif metric in figures.values:
            yield _plain(metric, figures)


def _plain(metric: Metric, figures: Figures) -> Family:
    make = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = make(PREFIX + metric.name, metric.about, labels=metric.labels)
    for labels, value in sorted(figures.values[metric].items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, figures: Figures) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.about, labels=metric.labels)
    for labels, distribution in sorted(figures.distributions.get(metric, {}).items(), key=lambda item: item[0]):
        family.add_metric(labels, _buckets(distribution), distribution.seconds)
    return family


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """Each bound with how many durations are at most that."""
    bounds = ["+Inf" if math.isinf(bound) else repr(float(bound)) for bound in distribution.counts]
    return list(zip(bounds, map(float, itertools.accumulate(distribution.counts.values())), strict=True))
