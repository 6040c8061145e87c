"""What a task returns: a result that callers get as it is stored, and that people read in one line."""

from collections.abc import Iterator, Mapping
from typing import Any

from release_worker.broker.readable import result_line


class ReadableResult(Mapping[str, Any]):
    """The result of a request of this kind for a toolset, as it was named. Celery's JSON has the fields, as of any
    mapping; its events, and so Flower, have the representation, `release_number=4, acme/payments/billing, …`."""

    def __init__(self, kind: str, toolset: str, fields: dict[str, Any]) -> None:
        self._kind = kind
        self._toolset = toolset
        self._fields = fields

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __json__(self) -> dict[str, Any]:
        """What kombu's JSON encodes in its place."""
        return self._fields

    def __repr__(self) -> str:
        return result_line(self._kind, self._toolset, self._fields)
