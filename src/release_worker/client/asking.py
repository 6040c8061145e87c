"""What every group of a client's methods stands on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_worker.client.request_handle import RequestHandle

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

Handle = RequestHandle[Any]


class Asking(ABC):
    """Submits requests."""

    @abstractmethod
    def _submit(self, kind: str, fields: Mapping[str, Any], session: "Session | None") -> Handle:
        """Check a request, write it down and publish it."""

    @abstractmethod
    def _engine(self) -> "Engine":
        """Raises NotConfigured if the client has no database."""
