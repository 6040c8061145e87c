"""The types of the fields of edits: what could not be stored, named or released is refused beforehand."""

import re
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from release_worker.domain import canonical_json
from release_worker.domain.canonical_json import DEEPEST, too_deep
from release_worker.domain.requests.fields import Name, Text
from release_worker.domain.text import check_storable

LONGEST_SLUG = 100
LONGEST_URN = 500
# The bytes of one JSON value, and of one text such as a prompt.
LARGEST_VALUE = 1_048_576
MOST_DIGITS = 10_000  # of a number, before and behind the point; PostgreSQL has no room for many more
# A value lies within so many objects of what is captured: `{"config": {key: value}}`, `{"tools": {urn: {"definition":
# value}}}`. It must not be too deep there, or else nothing could be released any more.
_AROUND = 3

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_A_URN = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


def checked_slug(text: str) -> str:
    """The text, if it can be a part of a path, and means no id. Raises ValueError."""
    if len(text) > LONGEST_SLUG:
        raise ValueError(f"must have at most {LONGEST_SLUG} characters")
    if not _SLUG.fullmatch(text):
        raise ValueError("must be letters, digits, '.', '_' and '-' only, and begin with a letter or a digit")
    try:
        UUID(text)
    except ValueError:
        return text
    raise ValueError("must not have the form of a UUID")


def checked_json(value: Any) -> Any:
    """The value, if it is JSON that PostgreSQL takes and a release can hold. Raises ValueError."""
    if too_deep([[[value]]]):
        raise ValueError(f"must not be nested more than {DEEPEST - _AROUND} levels deep")
    _check_numbers(value)
    try:
        text = canonical_json.dumps(value)
    except TypeError as error:
        raise ValueError(f"must be JSON: {error}") from None
    check_storable(text)
    if len(text.encode()) > LARGEST_VALUE:
        raise ValueError(f"must be at most {LARGEST_VALUE} bytes of JSON")
    return value


def _check_numbers(value: Any) -> None:
    """Written out, `1e999999999` would fill the memory. The value is not too deep."""
    match value:
        case dict():
            for inner in value.values():
                _check_numbers(inner)
        case list() | tuple():
            for inner in value:
                _check_numbers(inner)
        case Decimal() if value.is_finite():
            if too_many_digits(value):
                raise ValueError(f"must not have numbers of more than {MOST_DIGITS} digits")


def too_many_digits(number: Decimal) -> bool:
    """Whether a finite number, written out, has more than MOST_DIGITS on one side of its point."""
    return max(number.adjusted(), -int(number.as_tuple().exponent)) > MOST_DIGITS


def _one_word(text: str) -> str:
    if _NOT_IN_A_URN.search(text):
        raise ValueError("must not contain white space or control characters")
    text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return text


def _long_text(text: str) -> str:
    checked_json(text)
    return text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must not name anything twice")
    return names


Slug = Annotated[str, AfterValidator(checked_slug)]
Urn = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URN), AfterValidator(_one_word)]
Json = Annotated[Any, AfterValidator(checked_json)]
Title = Name
Description = Text
Urns = Annotated[tuple[Urn, ...], Field(strict=False), AfterValidator(_distinct)]
Keys = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_distinct)]
# A text of any length that a value may have, such as a prompt.
LongText = Annotated[str, AfterValidator(_long_text)]


class Asked(BaseModel):
    """What a caller asks for, with nothing else in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
