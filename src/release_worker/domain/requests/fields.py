"""The types of fields that several kinds of request have."""

import json
import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from release_worker.domain.canonical_json import DEEPEST, too_deep
from release_worker.domain.text import CONTROL, check_storable

LONGEST_TEXT = 10_000
LONGEST_PATH = 600
LARGEST_LABELS = 16_384
LARGEST_BIGINT = 2**63 - 1

_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PATH = re.compile(r"[^\s/]+/[^\s/]+/[^\s/]+")


def _encodable(text: str) -> str:
    text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return text


def _single_line(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return _encodable(text)


def _several_lines(text: str) -> str:
    if _CONTROL_BUT_LAYOUT.search(text):
        raise ValueError("must not contain control characters other than tab and line breaks")
    return _encodable(text)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _toolset_reference(text: str) -> str:
    if _PATH.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID or organization/project/toolset") from None


def _storable_labels(labels: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if too_deep(labels):
        raise ValueError(f"must not be nested more than {DEEPEST} levels deep")
    text = json.dumps(labels, allow_nan=False, ensure_ascii=False)
    if len(text.encode()) > LARGEST_LABELS:
        raise ValueError(f"must be at most {LARGEST_LABELS} bytes of JSON")
    check_storable(text)
    return labels


def _none_if_empty(labels: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    return labels or None


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must not name a component twice")
    return names


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_single_line)]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_single_line)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_several_lines)]
# A text that says something.
Reason = Annotated[
    str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_several_lines), AfterValidator(_not_blank)
]
Toolset = Annotated[
    str, StringConstraints(max_length=LONGEST_PATH), AfterValidator(_single_line), AfterValidator(_toolset_reference)
]
_Labels = Annotated[dict[str, JsonValue], AfterValidator(_storable_labels)]
Labels = Annotated[_Labels | None, AfterValidator(_none_if_empty)]
ReleaseNumber = Annotated[int, Field(ge=1, le=LARGEST_BIGINT)]
# 0 means: the toolset has no current release.
ExpectedRelease = Annotated[int, Field(ge=0, le=LARGEST_BIGINT)]
ComponentNames = Annotated[
    tuple[Name, ...], Field(min_length=1, max_length=100, strict=False), AfterValidator(_distinct)
]
