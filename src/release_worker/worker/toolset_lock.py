"""What a lock of a toolset must do. It keeps other workers away; that the work is right is up to PostgreSQL."""

from collections.abc import Callable
from typing import Protocol, Self
from uuid import UUID


class ToolsetLock(Protocol):
    """Keeps other workers away from a toolset while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def renew(self) -> bool:
        """Keep it for longer; False if it is lost."""


class NoLock:
    """For a deployment without Redis: PostgreSQL alone keeps the order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def renew(self) -> bool:
        return True


# Given a toolset, the owner's name, and how many seconds to wait for it.
MakeLock = Callable[[UUID, str, float], ToolsetLock]
