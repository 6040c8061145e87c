"""What is said of a request while it is asked and carried out, to whoever traces it."""

import re
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Engine

# W3C Trace Context: version, trace, parent, flags.
_FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Role = Literal["internal", "producer", "consumer"]


class Tracing(Protocol):
    """Spans, one inside the other. Attributes are ids, names and numbers, never values of a payload."""

    def span(
        self, name: str, *, role: Role = "internal", parent: str | None = None, **attributes: str | int
    ) -> AbstractContextManager[object]:
        """What is done inside. `parent`, a traceparent, is whose work it is; by default that of the span around."""
        ...

    def note(self, **attributes: str | int) -> None:
        """Say more of the span that is open. With `error`, the class of one, what it is about has failed."""
        ...

    def traceparent(self) -> str | None:
        """The open span, for who goes on elsewhere; None if nobody traces it."""
        ...

    def watch(self, engine: "Engine") -> None:
        """Make a span of each statement inside a span."""
        ...

    def close(self) -> None:
        """Send what is not sent yet."""
        ...


class NoTracing:
    """Nobody traces."""

    def span(
        self, name: str, *, role: Role = "internal", parent: str | None = None, **attributes: str | int
    ) -> AbstractContextManager[object]:
        return nullcontext()

    def note(self, **attributes: str | int) -> None:
        """Nothing."""

    def traceparent(self) -> str | None:
        return None

    def watch(self, engine: "Engine") -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def traceparent_in(value: object) -> str | None:
    """The value, if it can be a traceparent: anybody may send anything."""
    return value if isinstance(value, str) and _FORM.fullmatch(value) else None


def trace_id_of(traceparent: str | None) -> str | None:
    """What a log line says of a trace."""
    return None if traceparent is None else traceparent.split("-")[1]
