"""Values of options: JSON as it is given, and as it is shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from release_worker.cli.render import one_line

LONGEST_VALUE = 1_000  # columns

SettingsGiven = Annotated[
    list[str] | None,
    typer.Option("--set-setting", metavar="KEY=JSON", help="A setting of the toolset."),
]


def json_lines(values: Any) -> Iterator[str]:
    """Each member of an object on a line; another value on one line."""
    from release_worker.domain import canonical_json

    if not isinstance(values, dict):
        yield f"  {one_line(canonical_json.dumps(values), LONGEST_VALUE)}"
        return
    for key, value in values.items():
        yield f"  {one_line(key, 500)} = {one_line(canonical_json.dumps(value), LONGEST_VALUE)}"


def json_values(given: Sequence[str] | None, option: str) -> dict[str, Any]:
    """`["model={\"t\": 1}"]` as `{"model": {"t": 1}}`; `key=@file` reads the file. Raises typer.BadParameter."""
    return {key: _json(key, text, option) for key, text in texts(given, option).items()}


def texts(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """`["name=text"]` as `{"name": "text"}`; `name=@file` reads the file. Raises typer.BadParameter."""
    found: dict[str, str] = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{one_line(one, 80)!r} is not of the form KEY=VALUE", param_hint=option)
        if key in found:
            raise typer.BadParameter(f"{one_line(key, 80)!r} is given twice", param_hint=option)
        found[key] = read_text(Path(value[1:]), option) if value.startswith("@") else value
    return found


def read_text(file: Path, option: str) -> str:
    """The text of a file. Raises typer.BadParameter if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise typer.BadParameter(f"{one_line(str(file), 200)} cannot be read: {reason}", param_hint=option) from None


def _json(key: str, text: str, option: str) -> Any:
    from release_worker.domain import canonical_json
    from release_worker.errors import UnsupportedContent

    try:
        return canonical_json.loads(text)
    except (ValueError, UnsupportedContent):
        hint = f"the value of {one_line(key, 80)!r} is not JSON (a text needs its own quotes: '\"text\"')"
        raise typer.BadParameter(hint, param_hint=option) from None
