"""Fewer cores for everything that the benchmark runs: itself, the servers and the workers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def tree(pid: int) -> list[int]:
    """The process, and all processes below it."""
    found = [pid]
    for one in found:
        for thread in _threads(one):
            with suppress(OSError):
                found += map(int, Path(f"/proc/{one}/task/{thread}/children").read_text().split())
    return found


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Let this process and all below it use so many of its cores; what they start later inherits that."""
    allowed = os.sched_getaffinity(0)
    try:
        _pin(set(sorted(allowed)[:count]))
        yield
    finally:
        _pin(allowed)


def _pin(cores: set[int]) -> None:
    for pid in tree(os.getpid()):
        for thread in _threads(pid):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


def _threads(pid: int) -> list[int]:
    try:
        return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:  # it has ended
        return []
