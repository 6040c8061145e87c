"""Looking at several things at once. A probe imports this: it imports nothing of ours."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Check = TypeVar("Check")
Found = TypeVar("Found")


def all_at_once(
    checks: Sequence[Check], find: Callable[[Check], Found], *, late: Found, within: float
) -> Mapping[Check, Found]:
    """What `find`, which never raises, finds of each check, in their order; `late` for those that take longer than
    `within` seconds. Each has a thread of its own, so all take as long as the slowest, and one that hangs holds nobody
    up."""
    done: queue.SimpleQueue[tuple[Check, Found]] = queue.SimpleQueue()
    for check in checks:
        threading.Thread(target=lambda one: done.put((one, find(one))), args=(check,), daemon=True).start()
    found = dict.fromkeys(checks, late)
    deadline = time.monotonic() + within
    for _ in checks:
        try:
            check, finding = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        found[check] = finding
    return found
