"""How throughput grows with children, cores and toolsets, and what each child takes of memory and connections."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from redis import Redis
from sqlalchemy import text

from benchmarks.cores import on_cores
from benchmarks.crew import Crew, mix, running_crews
from benchmarks.measurements import Measurements
from benchmarks.scale import Scale
from benchmarks.stage import Stage
from benchmarks.usage import shared_fairly

SIZES = (1, 2, 4)  # children of the worker
CORES = (1, 2)
Content = Literal["small", "big"]
_BIG = 4  # toolsets
_BIG_EACH = 4
_WORKERS_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'release_worker worker'
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for in a turn: each of so many toolsets, each so often."""

    toolsets: int
    each: int
    content: Content = "small"

    def __str__(self) -> str:
        return f"{self.toolsets} {self.content} toolset{'s' * (self.toolsets > 1)}"


def measure_scaling(stage: Stage, scale: Scale, measured: Measurements) -> None:
    """Rounds of turns, of each size of worker on each number of cores."""
    shapes = [Shape(count, max(4, scale.backlog // count)) for count in scale.spread]
    shapes.append(Shape(_BIG, _BIG_EACH, "big"))
    cores = [count for count in CORES if count <= len(os.sched_getaffinity(0))]
    with running_crews(stage, SIZES) as crews:
        for crew in crews.values():
            crew.build_grown(_BIG, scale.big_tools)
        for _ in range(scale.rounds):
            for count in cores:
                with on_cores(count):
                    _round(crews, shapes, count, measured)
            _add_ratios(shapes, cores, measured)
        for crew in crews.values():
            _add_footprint(crew, measured)


def rate_name(children: int, cores: int, shape: Shape) -> str:
    """The name of such a rate."""
    return f"{shape}, {children} children, {cores} cores"


def cpu_name(children: int, cores: int, shape: Shape, process: str) -> str:
    return f"{rate_name(children, cores, shape)}: CPU of {process}"


def _round(crews: dict[int, Crew], shapes: Sequence[Shape], cores: int, measured: Measurements) -> None:
    """The sizes take turns within each shape, so that those that are compared are next to each other."""
    for shape in shapes:
        for children, crew in crews.items():
            if shape.content == "big":
                crew.edit_grown()
                toolsets = [toolset.number for toolset in crew.grown]
            else:
                crew.edit(shape.toolsets)
                toolsets = list(range(1, shape.toolsets + 1))
            drained = crew.drain(mix(toolsets, shape.each))
            name = rate_name(children, cores, shape)
            measured.fail(name, drained.failures)
            measured.add(name, "1/s", drained.rate)
            for process, seconds in drained.cpu.items():
                name = cpu_name(children, cores, shape, process)
                measured.add(name, "ms", 1000 * seconds / len(drained.ids))


def _add_ratios(shapes: Sequence[Shape], cores: Sequence[int], measured: Measurements) -> None:
    """Of this round."""
    for name, above, below in _ratios(shapes, cores):
        measured.add(name, "times", measured.latest(above) / measured.latest(below))


def _ratios(shapes: Sequence[Shape], cores: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Names of a ratio, of what is divided, and of what it is divided by."""
    few, many = cores[0], cores[-1]
    for shape in shapes:
        for count in cores:
            for children in SIZES[1:]:
                name = f"{shape}, {count} cores: {children} children / 1"
                yield name, rate_name(children, count, shape), rate_name(SIZES[0], count, shape)
        if few != many:
            for children in SIZES:
                name = f"{shape}, {children} children: {many} cores / {few}"
                yield name, rate_name(children, many, shape), rate_name(children, few, shape)
    most = max((shape for shape in shapes if shape.content == "small"), key=lambda shape: shape.toolsets)
    for shape in shapes:
        if shape.content == "small" and shape != most:
            for children in SIZES:
                name = f"{children} children, {many} cores: {shape} / {most}"
                yield name, rate_name(children, many, shape), rate_name(children, many, most)


def _add_footprint(crew: Crew, measured: Measurements) -> None:
    """Of a worker that has worked. Its connections to Valkey are those that end with it."""
    product, about = crew.product, f"worker of {crew.children} children"
    with product.site.engine.connect() as connection:
        measured.add(f"{about}: connections to PostgreSQL", "", connection.scalar(text(_WORKERS_CONNECTIONS)) or 0)
    parent, children = shared_fairly(product.worker.pid)
    measured.add(f"{about}: memory of the parent (PSS)", "MB", parent)
    measured.add(f"{about}: memory of the largest child (PSS)", "MB", max(children))
    measured.add(f"{about}: memory in all (PSS)", "MB", parent + sum(children))
    with Redis.from_url(product.site.redis_url) as redis:
        database = str(redis.get_connection_kwargs()["db"])
        before = _clients(redis, database)
        product.worker.stop()
        measured.add(f"{about}: connections to Valkey", "", before - _clients(redis, database))


def _clients(redis: Redis, database: str) -> int:
    return sum(client["db"] == database for client in redis.client_list())
