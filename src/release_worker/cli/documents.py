"""Documents that are read from files: as large as a catalogue may be, and no larger."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import typer

from release_worker.cli.render import count, one_line

LARGEST = 32 * 1_048_576  # bytes
_GZIP = b"\x1f\x8b"


def read_document(file: Path, option: str) -> bytes:
    """The bytes of a file, or those that are packed in it by gzip. Raises typer.BadParameter if it cannot be read, or
    is larger than 32 MiB."""
    if str(file).startswith(("http:/", "https:/")):
        raise typer.BadParameter(f"{_name(file)} is an address: fetch the document first", param_hint=option)
    try:
        with file.open("rb") as opened:
            packed = opened.read(len(_GZIP)) == _GZIP
            opened.seek(0)
            document = gzip.GzipFile(fileobj=opened).read(LARGEST + 1) if packed else opened.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is no whole gzip file"
        raise typer.BadParameter(f"{_name(file)} cannot be read: {reason}", param_hint=option) from None
    if len(document) > LARGEST:
        raise typer.BadParameter(f"{_name(file)} has more than {count(LARGEST, 'byte')}", param_hint=option)
    return document


def read_json(file: Path, option: str) -> Any:
    """The JSON value of a file. Raises typer.BadParameter."""
    from release_worker.domain import canonical_json
    from release_worker.errors import UnsupportedContent

    document = read_document(file, option)
    try:
        return canonical_json.loads(document)
    except UnsupportedContent as error:
        raise typer.BadParameter(f"{_name(file)}: {error}", param_hint=option) from None
    except ValueError as error:
        raise typer.BadParameter(f"{_name(file)} is not JSON: {one_line(str(error))}", param_hint=option) from None


def _name(file: Path) -> str:
    return one_line(str(file), 200)
