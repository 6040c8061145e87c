"""What a check finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_worker.doctor.deployment import Deployment


class Level(StrEnum):
    """WRONG fails the whole; a WARNING is worth a look; UNKNOWN could not be checked."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about what was found, and one about what to do, if there is something to do."""

    level: Level
    found: str
    remedy: str | None = None


def ok(found: str) -> Finding:
    return Finding(Level.OK, found)


def warning(found: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, found, remedy)


def wrong(found: str, remedy: str) -> Finding:
    return Finding(Level.WRONG, found, remedy)


def unknown(found: str, remedy: str | None = None) -> Finding:
    return Finding(Level.UNKNOWN, found, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """`look` may raise a ReleaseWorkerError: then it could not be checked."""

    name: str
    group: str
    look: Callable[["Deployment"], Iterable[Finding]]
