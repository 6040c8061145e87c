"""What differs from run to run: ids, times, ages, directories, the user's name. All else is as the page says."""

import re
from collections.abc import Mapping
from itertools import zip_longest

from release_worker.cli.options import user_name

# An id, or the end of one in the slug of a staged copy.
ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|(?<=[a-z]-)[0-9a-f]{12}\b")
PERSON = "ops"
_MASKS = (
    (ID, "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?: UTC|Z|\+00:00)?"), "<time>"),
    (re.compile(r"\bjust now\b|\b\d+(?:\.\d+)? ?(?:ms|s|seconds?|min|minutes?|h|hours?|d|days?)\b(?: ago)?"), "<age>"),
    (re.compile(r"\b[\d,]+ bytes"), "<size>"),
    (re.compile(r"\brevision \d{4}\w*"), "<revision>"),  # of the schema: each migration would renew pages
    (re.compile(r"/tmp/[\w./-]+"), "<directory>"),
    (re.compile(r"[ \t]+"), " "),
)


def masked(output: str) -> str:
    """The output without what differs from run to run, and without the widths of columns."""
    for pattern, stands_for in _MASKS:
        output = pattern.sub(stands_for, output)
    return output.strip()


def alike(one: str, other: str) -> bool:
    """Whether they differ only from run to run. Of lines that were cut short, what both have left must be the same."""
    pairs = zip_longest(masked(one).splitlines(), masked(other).splitlines(), fillvalue="")
    return all(a == b or _cut_alike(a, b) for a, b in pairs)


def _cut_alike(one: str, other: str) -> bool:
    if "…" not in one + other:
        return False
    shorter, longer = sorted((one.partition("…")[0], other.partition("…")[0]), key=len)
    return longer.startswith(shorter)


def with_a_persons_name(output: str) -> str:
    """The output as somebody else would have it whose user name is `ops`, in columns that are as wide."""

    def instead(found: re.Match[str]) -> str:
        return PERSON.ljust(len(found[0])) if found[1] else PERSON

    return re.sub(rf"(?<![/\w-]){re.escape(user_name())}(?![/\w-])( {{2,}})?", instead, output)


def replaced(text: str, ids: Mapping[str, str]) -> str:
    """The text with other ids."""
    return ID.sub(lambda found: ids.get(found[0], found[0]), text)
