"""Ctrl-C, SIGTERM and the end of the terminal end the demo in order: what it started is stopped and removed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """The first of the signals unwinds the block, as SystemExit; those that come while it unwinds change nothing.

    It may strike in the middle of a library, which then ends otherwise than by SystemExit, or not at all: the exit
    status is the signal's all the same.
    """
    received: list[int] = []

    def unwind(number: int, _: FrameType | None) -> None:
        ignore_signals()
        received.append(number)
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler != signal.SIG_IGN:  # `nohup` stays what it is
            signal.signal(number, unwind)
    try:
        yield
    except Exception:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    else:
        if received:
            raise SystemExit(128 + received[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From now on, until `unwound_by_signals` ends: what is being removed is removed to the end."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
