"""What expressions for Prometheus name, read without Prometheus: metrics, labels, and values of labels."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from release_worker.metrics.catalogue import METRICS, Metric

_SELECTOR = re.compile(r"\b(release_worker_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "counter": ("",)}

# What a sample is called, by the metric that it belongs to.
SAMPLES: Mapping[str, Metric] = {
    metric.full_name + suffix: metric for metric in METRICS for suffix in _SUFFIXES[metric.type]
}


@dataclass(frozen=True)
class Matcher:
    """A condition on a label; `values` are those that it names."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Selector:
    """A sample's name, with conditions on its labels."""

    name: str
    matchers: tuple[Matcher, ...]


def selectors(expression: str) -> Iterator[Selector]:
    """Those of our metrics."""
    for name, inside in _SELECTOR.findall(expression):
        yield Selector(name, tuple(_matchers(inside)))


def _matchers(inside: str) -> Iterator[Matcher]:
    for one in filter(None, inside.split(",")):
        found = _MATCHER.fullmatch(one)
        assert found, one
        label, operator, value = found.groups()
        yield Matcher(label, tuple(value.split("|")) if "~" in operator else (value,))


def labels_of_groups(expression: str) -> set[str]:
    """The labels that its aggregations name."""
    return {label.strip() for inside in _GROUPED.findall(expression) for label in inside.split(",") if label.strip()}


def mistakes(expression: str) -> list[str]:
    """What the expression names that is not shown; and if it names nothing of ours."""
    found, known = [], set()
    chosen = list(selectors(expression))
    for selector in chosen:
        metric = SAMPLES.get(selector.name)
        if metric is None:
            found.append(f"no metric {selector.name}")
            continue
        labels = {*metric.labels, *(("le",) if selector.name.endswith("_bucket") else ())}
        known |= labels
        for matcher in selector.matchers:
            found += [] if matcher.label in labels else [f"no label {matcher.label} of {selector.name}"]
            found += [
                f"no value {value} of {matcher.label}"
                for value in matcher.values
                if not _shown(metric, matcher.label, value)
            ]
    found += [f"no label {label}" for label in labels_of_groups(expression) - known]
    return found if chosen else ["no metric"]


def _shown(metric: Metric, label: str, value: str) -> bool:
    """Whether a label can have this value; of a metric that shows only what it has, that is not known."""
    if label not in metric.labels or not metric.always:
        return True
    return value in {labels[metric.labels.index(label)] for labels in metric.always}
