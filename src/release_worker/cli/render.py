"""How answers look: tables that fit the terminal, one JSON document, and text from elsewhere made harmless."""

import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 100
_WIDE = 130
_UNBOUNDED = 100_000


def console(*, stderr: bool = False, without_terminal: int = WIDTH_WITHOUT_TERMINAL) -> Console:
    """Colours only on a terminal, no pager, and nothing in the text is taken for markup."""
    width = shutil.get_terminal_size((without_terminal, 24)).columns
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def say(*lines: str | Text, stderr: bool = False) -> None:
    """Print lines that the terminal may wrap, but that stay whole if they are copied or piped."""
    for line in lines:
        console(stderr=stderr).print(line, soft_wrap=True)


def show_table(made: Table) -> None:
    """Print a table, without the blanks that would fill its lines. In a pipe nothing of it is cut short or folded, so
    that a row is a line with all that it says."""
    terminal = console(without_terminal=_UNBOUNDED)
    with terminal.capture() as captured:
        terminal.print(made)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def is_narrow() -> bool:
    """Whether a table has to fit a terminal in which a row with an id has no room for much else."""
    return console(without_terminal=_UNBOUNDED).width < _WIDE


def print_json(value: Any, *, stderr: bool = False) -> None:
    """Print one JSON document on one line; numbers keep their exact value."""
    from release_worker.domain import canonical_json

    print(canonical_json.dumps(jsonable(value)), file=sys.stderr if stderr else sys.stdout)


def jsonable(value: Any) -> Any:
    """The JSON value of a record or a result: ids as text, times in ISO 8601 and UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case _ if hasattr(value, "model_dump"):
            return jsonable(value.model_dump(include=value.model_fields_set))
        case _:
            return value


def table(
    *columns: str, rows: Iterable[Sequence[str | Text]], elastic: Sequence[str], right: Sequence[str] = ()
) -> Table:
    """A table without lines, a line a row. Only the `elastic` columns are cut short if the terminal is narrow."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # Rich takes room from columns that may wrap before it takes it from others; the cells themselves do not wrap.
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column not in elastic)
    for row in rows:
        made.add_row(*(_unwrapped(cell) for cell in row))
    return made


def _unwrapped(cell: str | Text) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def facts(pairs: Iterable[tuple[str, str | None]]) -> Table:
    """Names and values, one pair a line; a value that is None is left out, and a long one is folded."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            made.add_row(name, value)
    return made


def one_line(text: str, longest: int = 200) -> str:
    """`text` on one line, cut to so many columns, and with what could steer the terminal shown as an escape."""
    from release_worker.domain.text import printable

    flat = printable(" ".join(text.split()), longest + 1)
    return flat if cell_len(flat) <= longest else set_cell_size(flat, longest - 1).rstrip() + "…"


def several_lines(text: str) -> str:
    """`text` with its line breaks, and nothing else that could steer the terminal."""
    from release_worker.domain.text import printable

    return "\n".join(printable(line, len(line)) for line in text.expandtabs().splitlines())


def listed(items: Sequence[str], limit: int | None) -> list[str]:
    """Up to `limit` items, a line each, and how many more there are."""
    shown = items if limit is None else items[:limit]
    more = len(items) - len(shown)
    return [*(one_line(item, 500) for item in shown), *([f"… and {more:,} more"] if more else [])]


def moment(time: datetime) -> str:
    """A time in UTC, to the minute, for a column whose heading says UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def precise_moment(time: datetime) -> str:
    """A time in UTC, to the second, for a column whose heading says UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def exact_moment(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{precise_moment(time)} UTC"


def count(number: int, noun: str, several: str | None = None) -> str:
    """`1 tool`, `1,039 tools`."""
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def age(then: datetime, now: datetime) -> str:
    """How long ago, in the largest unit of which there are two: `90 s`, `3 min`, `47 h`, `12 d`."""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, length, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{seconds // length} {unit}"
    return f"{seconds // 86_400:,} d"


def command_line(*arguments: str | int) -> str:
    """A command to type: this program, by the name that it was started with if it is not on the path."""
    started_as = Path(sys.argv[0])
    program = started_as.name
    on_path = shutil.which(program)
    if program != "release-worker":
        program = "release-worker"
    elif on_path is None or not Path(on_path).samefile(started_as):
        program = str(started_as)
    return shlex.join([program, *map(str, arguments)])
