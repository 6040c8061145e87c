"""What the harness saw with its own eyes, to be held against what the database says afterwards."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

# accepted: the caller was told so. sent: a message that the broker took, whose row is for a worker to write. undone:
# the caller rolled back. unknown: the caller was told of an error, and cannot know.
Fate = Literal["accepted", "sent", "undone", "unknown"]


@dataclass(frozen=True, slots=True)
class Submission:
    """One request, with monotonic times of the call and of its answer."""

    toolset_id: UUID
    request_id: str | None
    fate: Fate
    called: float
    answered: float


# done: the caller was told that the request was cancelled. refused: that it was not. unknown: of another error.
CancelFate = Literal["done", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that struck, from its begin to its end; `note` says whom."""

    fault: str
    began: float
    ended: float
    note: str


@dataclass
class Journal:
    """Written by several threads."""

    submissions: list[Submission] = field(default_factory=list)
    strikes: list[Struck] = field(default_factory=list)
    cancels: list[tuple[str, CancelFate]] = field(default_factory=list)
    seen_succeeded: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def note(self, submission: Submission) -> None:
        with self._turn:
            self.submissions.append(submission)

    def note_accepted(self, toolset_id: UUID, request_id: str, called: float) -> None:
        self.note(Submission(toolset_id, request_id, "accepted", called, time.monotonic()))

    def note_cancel(self, request_id: str, fate: CancelFate) -> None:
        with self._turn:
            self.cancels.append((request_id, fate))

    def count(self, name: str) -> None:
        with self._turn:
            self.counts[name] += 1

    def of_fate(self, fate: Fate) -> list[Submission]:
        return [one for one in self.submissions if one.fate == fate]

    def recoveries(self) -> dict[str, list[float]]:
        """By fault: seconds from each strike to the first success of a request that was submitted after it."""
        succeeded = [
            (one.called, self.seen_succeeded[one.request_id])
            for one in self.submissions
            if one.request_id in self.seen_succeeded
        ]
        found: dict[str, list[float]] = {}
        for strike in self.strikes:
            later = [seen for called, seen in succeeded if called >= strike.began]
            found.setdefault(strike.fault, []).append(min(later, default=float("inf")) - strike.began)
        return found


def run_on_time(moments: list[tuple[float, Callable[[], None]]], *, start: float, stopping: threading.Event) -> None:
    """Call each at its second after `start` (monotonic), late rather than never, until told to stop."""
    for at, act in moments:
        if stopping.wait(max(0.0, start + at - time.monotonic())):
            return
        act()
