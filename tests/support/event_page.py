"""The table of docs/reference/events.md."""

import re

from tests.support.repository import read


def fields_of_types() -> dict[str, set[str]]:
    """By type of event: the fields that its data may have."""
    rows = re.findall(
        r"^\| `([a-z_]+\.[a-z_]+)` \| [^|]* \| ([^|]*) \|$", read("docs/reference/events.md"), re.MULTILINE
    )
    return {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}
