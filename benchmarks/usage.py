"""What processes used, from the kernel's accounting: a busy neighbour changes how long work takes, but not this."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.cores import tree

_TICKS = os.sysconf("SC_CLK_TCK")
_MEGABYTE = 1_000_000


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """For each name, the CPU time so far of the process of this pid and of all below it, those that ended included."""
    return {name: sum(map(_cpu_seconds, tree(pid))) for name, pid in roots.items()}


def shared_fairly(root: int) -> tuple[float, list[float]]:
    """Memory in MB of a process, and of each of its children: what several share counts for each in part (PSS)."""
    parent, *children = tree(root)
    return _proportional(parent), [_proportional(pid) for pid in children]


def _cpu_seconds(pid: int) -> float:
    with suppress(OSError):  # it has ended, and its parent has its times
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS  # user, system, and both of the children that ended
    return 0.0


def _proportional(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / _MEGABYTE
    return 0.0
