"""The tables that people read, and the JSON that programs do."""

import json
import math
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.measurements import Measurements

WIDTH = 120
_PACKAGES = ("release-worker", "celery", "kombu", "sqlalchemy", "psycopg", "procrastinate", "dramatiq")


def show(measured: Measurements, figures: Sequence[Figure]) -> None:
    """Print what was measured, what was to be reached, and what went wrong."""
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(_measurements_table(measured))
    console.print(_figures_table(figures))
    for failure in measured.failures:
        console.print(f"WRONG  {failure}", soft_wrap=True)
    verdict = "all correct" if not measured.failures else f"{len(measured.failures)} failures"
    console.print(f"Correctness: {verdict}.")


def write_json(file: Path, measured: Measurements, figures: Sequence[Figure], seconds: float) -> None:
    """One document with everything in it."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "versions": dict(_versions()),
        "measurements": measured.as_json(),
        "figures": [figure.as_json() for figure in figures],
        "failures": measured.failures,
    }
    file.write_text(json.dumps(document, indent=2) + "\n")


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # of peers that were left out
            yield name, version(name)


def _measurements_table(measured: Measurements) -> Table:
    table = Table("measured", "unit", title="Medians and spread over all rounds", title_justify="left")
    for heading in ("median", "min", "max", "rounds"):
        table.add_column(heading, justify="right")
    for one in measured:
        values = (number(one.median), number(one.lowest), number(one.highest))
        table.add_row(one.name, one.unit, *values, str(len(one.rounds)))
    return table


def _figures_table(figures: Sequence[Figure]) -> Table:
    table = Table("figure", title="Figures to reach", title_justify="left")
    for heading in ("target", "measured", "reached"):
        table.add_column(heading, justify="right")
    for figure in figures:
        table.add_row(figure.name, figure.target_text, figure.measured_text, figure.verdict)
    return table


def number(value: float) -> str:
    """Three figures that count."""
    if math.isinf(value):
        return "gave up"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
