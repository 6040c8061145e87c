"""What people and scripts see of a schedule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from release_worker.cli.render import exact_moment, facts, jsonable, one_line, table
from release_worker.errors import InvalidRequest

if TYPE_CHECKING:
    from datetime import datetime

    from release_worker.domain.schedules.schedule import Schedule

SHOWN_FIRES = 3


def as_document(schedule: "Schedule") -> dict[str, Any]:
    """The row, with `scope` and `next_fires`: the next instants in the schedule's zone."""
    fires = [instant.isoformat() for instant in _next_fires(schedule)]
    fields: dict[str, Any] = jsonable(schedule)
    return {**fields, "scope": schedule.scope, "next_fires": fires}


def rows_of(schedules: "Sequence[Schedule]") -> Table:
    """A line a schedule."""
    rows = (
        (
            one_line(one.name),
            one_line(one.target, 600),
            one.kind,
            _state(one),
            _moment(fires[0]) if (fires := _next_fires(one, 1)) else "",
            one_line(_when(one), 300),
        )
        for one in schedules
    )
    return table("name", "of", "what", "", "next", "when", rows=rows, elastic=("of", "when"))


def facts_of(schedule: "Schedule") -> Table:
    """All of one."""
    held, last = schedule.held_fire_at, schedule.last_fire_at
    late = f"{schedule.misfire}, for {schedule.catch_up_seconds:,} s"
    return facts(
        [
            ("schedule", f"{schedule.name} of {schedule.organization}"),
            ("for", f"{schedule.scope} {one_line(schedule.target, 600)}"),
            ("what", schedule.kind),
            *((name.replace("_", " "), one_line(_text(value), 500)) for name, value in schedule.arguments.items()),
            ("when", one_line(_when(schedule), 300)),
            ("that is", _in_words(schedule)),
            ("next", "\n".join(map(_moment, _next_fires(schedule))) or None),
            ("last", None if last is None else exact_moment(last)),
            ("waits", None if held is None else f"{exact_moment(held)}, for the end of a freeze"),
            ("state", str(_state(schedule))),
            ("because", None if schedule.suspended_reason is None else one_line(schedule.suspended_reason, 1000)),
            ("if missed", late),
            ("if the last has not ended", schedule.overlap),
            ("by", one_line(schedule.created_by)),
        ]
    )


def _next_fires(schedule: "Schedule", number: int = SHOWN_FIRES) -> "Sequence[datetime]":
    try:
        return schedule.next_fires(number)
    except InvalidRequest:  # a row that was written with SQL; the worker suspends it when it is due
        return []


def _state(schedule: "Schedule") -> Text:
    if schedule.suspended_reason is not None:
        return Text("suspended", style="red")
    if schedule.enabled and schedule.held_fire_at is not None:
        return Text("frozen", style="yellow")
    if schedule.enabled:
        return Text("active", style="green")
    return Text("done" if schedule.fire_at is not None and schedule.last_fire_at is not None else "paused")


def _when(schedule: "Schedule") -> str:
    if schedule.fire_at is not None:
        return f"once, at {exact_moment(schedule.fire_at)}"
    return f"{schedule.cron} in {schedule.timezone}"


def _in_words(schedule: "Schedule") -> str | None:
    from release_worker.domain.schedules.recurrence import in_words

    return None if schedule.cron is None else in_words(schedule.cron)


def _moment(instant: "datetime") -> str:
    """In the schedule's zone, with its offset."""
    return instant.isoformat(sep=" ", timespec="seconds")


def _text(value: object) -> str:
    from release_worker.domain import canonical_json

    return value if isinstance(value, str) else canonical_json.dumps(value)
