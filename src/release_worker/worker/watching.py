"""Who watches a worker process at work."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from structlog.contextvars import bound_contextvars

from release_worker.domain.outcomes import ClaimLost, Failed, Outcome, Postponed, Succeeded
from release_worker.tracing.tracing import NoTracing, Role, Tracing, trace_id_of
from release_worker.worker.progress import TellState, tell_nobody


@dataclass(frozen=True, slots=True)
class Watching:
    """Whoever traces, and whoever is told the steps of a long operation. By default nobody."""

    tracing: Tracing = field(default_factory=NoTracing)
    tell_state: TellState = tell_nobody

    def span(
        self, name: str, *, role: Role = "internal", parent: str | None = None, **attributes: str | int
    ) -> AbstractContextManager[object]:
        """As that of `Tracing`; the lines that are logged inside say in which trace."""
        if isinstance(self.tracing, NoTracing):
            return nullcontext()
        return self._logged(name, role=role, parent=parent, **attributes)

    @contextmanager
    def _logged(self, name: str, *, role: Role, parent: str | None, **attributes: str | int) -> Iterator[None]:
        with self.tracing.span(name, role=role, parent=parent, **attributes):
            trace_id = trace_id_of(self.tracing.traceparent())
            with bound_contextvars(**({} if trace_id is None else {"trace_id": trace_id})):
                yield

    def ended(self, outcome: Outcome) -> None:
        """Say how what the open span is about has ended."""
        match outcome:
            case Succeeded():
                self.tracing.note(outcome="succeeded")
            case Failed(error):
                self.tracing.note(outcome="failed", error=type(error).__name__)
            case Postponed(error):
                self.tracing.note(outcome="postponed", error=type(error).__name__)
            case ClaimLost():
                self.tracing.note(outcome="claim_lost")
