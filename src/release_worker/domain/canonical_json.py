"""The one text of a JSON value, and its digest.

The text is PostgreSQL's own text of a `jsonb` with every number's trailing fractional zeros removed:

- object keys ordered by their UTF-8 length, then by their UTF-8 bytes; the last of equal keys wins;
- `", "` between items, `": "` after a key, no other white space;
- strings as UTF-8, escaping only `"`, `\\`, and the control characters below U+0020
  (`\\b \\f \\n \\r \\t`, the others `\\u00xx` in lower case);
- numbers in plain decimal notation by their exact value: `1.50`, `1.5` and `15e-1` are all `1.5`; `-0` is `0`.

A digest is the lower-case hex SHA-256 of that text in UTF-8. RFC 8785 would not do: it cannot hold integers past 2^53.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Any

from release_worker.errors import UnsupportedContent

# The most arrays and objects that may lie around a value in what is captured and in a request's labels. An item of
# `changes` lies some levels deeper still in a result; pydantic takes 255, Python's JSON what is left of 1,000 frames.
DEEPEST = 200

# Python refuses to turn longer texts into int, since it takes quadratic time; a Decimal holds them exactly.
_LONGEST_INT = 4000

# Writes what it is given in the order in which it is given, in C. `json.dumps` would make one for every string.
_WRITER = json.JSONEncoder(ensure_ascii=False)
# What it writes canonically by itself.
_PLAIN = frozenset({str, int, bool, type(None)})


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, exactly: integers as int (Decimal past 4,000 digits), other numbers as Decimal.

    Raises ValueError for what is not JSON, `NaN` and `Infinity` included, and UnsupportedContent for what is nested too
    deeply for Python.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_integer, parse_constant=_refuse_constant)
    except RecursionError:
        raise UnsupportedContent(reason="nested too deeply") from None
    except InvalidOperation:
        raise ValueError("a number has an exponent of too many digits") from None


def dumps(value: Any) -> str:
    """The canonical text of a value made of dict, list, tuple, str, int, Decimal, float, bool and None, of any depth.

    A float, which only an app's own call can bring, stands for its shortest decimal. Raises TypeError for anything
    else, `nan` and `inf` included.
    """
    try:
        return _WRITER.encode(_in_order(value))
    except (_NotPlain, RecursionError):
        return _dumps(value)


class _NotPlain(Exception):
    """A number with decimals, or something else that needs care."""


def _in_order(value: Any) -> Any:
    """The value with the keys of its objects in order. Raises _NotPlain and RecursionError."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {key: _in_order(value[key]) for key in sorted(value, key=_key_order)}
    if kind is list or kind is tuple:
        return [_in_order(item) for item in value]
    raise _NotPlain


def _dumps(value: Any) -> str:
    written = StringIO()
    # What is still to be written, the next at the end: values, and pieces of text that are ready.
    waiting: list[Any] = [value]
    while waiting:
        match waiting.pop():
            case _Text() as ready:
                written.write(ready)
            case dict() as members:
                waiting.extend(reversed(_object(members)))
            case list() | tuple() as items:
                waiting.extend(reversed(_array(items)))
            case scalar:
                written.write(_scalar(scalar))
    return written.getvalue()


def too_deep(value: Any) -> bool:
    """Whether a value lies inside more than DEEPEST arrays and objects of `value`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _members(outer)]
    return bool(level)


def digest(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical text of `value`."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def as_plain(value: Any) -> Any:
    """`value` for a JSON encoder without Decimal: a Decimal becomes a float if that is exact, else its text."""
    return json.loads(dumps(value), parse_float=_float_or_text)


class _Text(str):
    """A piece of the text that is being written, and no value."""

    __slots__ = ()


def _object(members: dict[Any, Any]) -> list[Any]:
    pieces: list[Any] = [_Text("{")]
    for place, key in enumerate(sorted(members, key=_key_order)):
        pieces += [_Text(f"{', ' if place else ''}{_scalar(key)}: "), members[key]]
    return [*pieces, _Text("}")]


def _array(items: Sequence[Any]) -> list[Any]:
    pieces: list[Any] = [_Text("[")]
    for place, item in enumerate(items):
        pieces += [_Text(", "), item] if place else [item]
    return [*pieces, _Text("]")]


def _members(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list() | tuple():
            return value
        case _:
            return ()


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _WRITER.encode(value)
        case int() | Decimal():
            return _number(value)
        case float():
            return _number(Decimal(repr(value)))
        case _:
            raise TypeError(f"{type(value).__name__} has no exact JSON form")


def _float_or_text(text: str) -> float | str:
    return float(text) if Decimal(repr(float(text))) == Decimal(text) else text


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _LONGEST_INT else Decimal(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _number(value: int | Decimal) -> str:
    if isinstance(value, int):
        return str(value)
    if not value.is_finite():
        raise TypeError(f"{value} has no JSON form")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _key_order(key: Any) -> tuple[int, bytes]:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {type(key).__name__}")
    encoded = key.encode()
    return len(encoded), encoded
