"""What is shown while the demo runs: a spinner on a terminal, and a line for each step when it is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from release_worker.domain.requests.rollback import RollbackResult


@dataclass(frozen=True, slots=True)
class Step:
    """What happened, and how long it took."""

    outcome: str
    seconds: float


def mark(console: Console, *, ok: bool) -> Text:
    """A tick or a cross, or what stands for them if the output's encoding has neither."""
    if console.options.ascii_only:
        return Text("ok" if ok else "NO")
    return Text("✓", "green") if ok else Text("✗", "red")


class Progress:
    """The steps so far. `plan_shown`: how a rollback that is only planned is shown below its step."""

    def __init__(self, console: Console, plan_shown: Callable[[RollbackResult], RenderableType]) -> None:
        self.console = console
        self._plan_shown = plan_shown
        self.steps: list[Step] = []
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done, and at the end what was: the text that the given function was called with."""
        outcomes = [doing]
        started = time.monotonic()
        try:
            with self.console.status(doing, spinner="line"):
                yield outcomes.append
        except BaseException:
            self._show(Step(f"{doing}: not done", time.monotonic() - started), ok=False)
            raise
        step = Step(outcomes[-1], time.monotonic() - started)
        self.steps.append(step)
        self._show(step, ok=True)

    def show_plan(self, plan: RollbackResult) -> None:
        """Below the step that planned it."""
        self.console.print(self._plan_shown(plan))

    def _show(self, step: Step, *, ok: bool) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, justify="right", width=len("10.00 s"))
        line.add_column()
        line.add_row(mark(self.console, ok=ok), f"{step.seconds:.2f} s", step.outcome)
        self.console.print(line)
