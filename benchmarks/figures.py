"""The figures to reach, from what was measured. One that was not measured in this run is shown as such."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks import footprint, latency, throughput
from benchmarks.growth import bare_name, history_name, size_name
from benchmarks.growth_world import FEW, Kind
from benchmarks.measurements import Measurements
from benchmarks.scale import Scale


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, what it is divided by (1 for itself), and the bound of the quotient."""

    name: str
    value: float | None
    reference: float | None
    bound: Literal["at least", "at most"]
    target: float
    unit: str = "times"

    @property
    def measured(self) -> float | None:
        """Infinite where it was given up; None where it was not tried."""
        if self.value is None or not self.reference:
            return None
        return math.inf if math.isinf(self.value) else self.value / self.reference

    @property
    def reached(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.target if self.bound == "at least" else self.measured <= self.target

    @property
    def target_text(self) -> str:
        return f"{'≥' if self.bound == 'at least' else '≤'} {self.target:,g} {self.unit}"

    @property
    def measured_text(self) -> str:
        if self.measured is None:
            return "not measured"
        if math.isinf(self.measured):
            return "gave up"
        return f"{self.measured:,.0f} {self.unit}" if self.measured >= 100 else f"{self.measured:.2f} {self.unit}"

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "NO", None: "-"}[self.reached]

    def as_json(self) -> Mapping[str, object]:
        return {
            "name": self.name,
            "bound": self.bound,
            "target": self.target,
            "unit": self.unit,
            "measured": self.measured if self.measured != math.inf else None,
            "reached": self.reached,
        }


def figures_to_reach(measured: Measurements, scale: Scale) -> list[Figure]:
    """The figures that were set as goals, in the order of docs/performance.md; sizes are the largest of the run."""
    return [
        *_throughput(measured),
        *_history(measured, scale),
        *(figure for kind in ("listed", "provided") for figure in _sizes(measured, max(scale.tools), kind)),
        *_footprint(measured, scale),
    ]


def _throughput(measured: Measurements) -> list[Figure]:
    median = measured.median
    return [
        Figure("releases end to end / limit", median(throughput.CHANGED), median(throughput.LIMIT), "at least", 0.8),
        Figure(
            "releases asked for in batches / limit",
            median(throughput.BATCHED),
            median(throughput.LIMIT),
            "at least",
            1.0,
        ),
        Figure("plain send_task / no-op", median(throughput.PLAIN), median(throughput.NOOP), "at least", 0.55),
        Figure(
            "releases end to end / best peer",
            median(throughput.CHANGED),
            measured.best(throughput.PEER),
            "at least",
            2.5,
        ),
        Figure(
            "one hot toolset / all toolsets, both unchanged",
            median(throughput.HOT),
            median(throughput.UNCHANGED),
            "at least",
            0.9,
        ),
        Figure("rollbacks / releases", median(throughput.ROLLBACKS), median(throughput.CHANGED), "at least", 0.7),
        Figure(
            "cold toolset's p95, during a flood / idle",
            median(f"{latency.FLOODED}, p95"),
            median(f"{latency.IDLE}, p95"),
            "at most",
            2.0,
        ),
    ]


def _history(measured: Measurements, scale: Scale) -> list[Figure]:
    shortest, longest = min(scale.history), max(scale.history)
    return [
        Figure(
            f"{operation}, history of {longest:,} / of {shortest:,}",
            measured.median(history_name(operation, longest)),
            measured.median(history_name(operation, shortest)),
            "at most",
            1.1,
        )
        for operation in ("release", "rollback")
    ]


def _sizes(measured: Measurements, tools: int, kind: Kind) -> list[Figure]:
    def took(operation: str, changed: str) -> float | None:
        return measured.median(size_name(operation, kind, tools, changed))

    return [
        Figure(
            f"release of {tools:,} tools {kind}, all changed / bare INSERT",
            took("release", "all"),
            measured.median(bare_name("INSERT", kind, tools)),
            "at most",
            2.0,
        ),
        Figure(
            f"release of {tools:,} tools {kind}, unchanged / bare SELECT",
            took("release", "none"),
            measured.median(bare_name("SELECT of the digest", kind, tools)),
            "at most",
            1.3,
        ),
        Figure(
            f"rollback of {tools:,} tools {kind}, {FEW} changed / all changed",
            took("rollback", str(FEW)),
            took("rollback", "all"),
            "at most",
            0.25,
        ),
    ]


def _footprint(measured: Measurements, scale: Scale) -> list[Figure]:
    tools = max(scale.tools)
    peak = measured.median(footprint.PEAK.format(tools))
    return [
        Figure("unchanged release: release records", measured.median(footprint.RECORDS), 1, "at most", 1000, "bytes"),
        Figure(
            "unchanged release: with its request", measured.median(footprint.WITH_REQUEST), 1, "at most", 1000, "bytes"
        ),
        Figure(f"worker's memory at {tools:,} tools / idle", peak, measured.median(footprint.IDLE), "at most", 1.5),
    ]
