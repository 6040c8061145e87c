"""Text that people, PostgreSQL and terminals can take."""

import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def printable(text: str, longest: int) -> str:
    """`text`, shortened to `longest` characters; what PostgreSQL or a terminal could not take is shown as an escape."""
    shown = text[:longest].encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", shown)


def check_storable(json_text: str) -> None:
    """Raises ValueError for the text of a JSON value that PostgreSQL takes for no `jsonb`: with a lone surrogate, or
    with U+0000, in any escape."""
    json_text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    if _ESCAPED_NUL.search(json_text):
        raise ValueError("must not contain the character U+0000")
