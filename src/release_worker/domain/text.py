"""Text that people, PostgreSQL and terminals can take."""

import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(text: str, longest: int) -> str:
    """`text`, shortened to `longest` characters; what PostgreSQL or a terminal could not take is shown as an escape."""
    shown = text[:longest].encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", shown)
