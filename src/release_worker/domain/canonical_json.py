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
from decimal import Decimal
from typing import Any

# Python refuses to turn longer texts into int, since it takes quadratic time; a Decimal holds them exactly.
_LONGEST_INT = 4000


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, exactly: integers as int (Decimal past 4,000 digits), other numbers as Decimal.

    Raises ValueError for what is not JSON, `NaN` and `Infinity` included.
    """
    return json.loads(text, parse_float=Decimal, parse_int=_integer, parse_constant=_refuse_constant)


def dumps(value: Any) -> str:
    """The canonical text of a value made of dict, list, tuple, str, int, Decimal, float, bool and None.

    A float, which only an app's own call can bring, stands for its shortest decimal. Raises TypeError for anything
    else, `nan` and `inf` included.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | Decimal():
            return _number(value)
        case float():
            return _number(Decimal(repr(value)))
        case dict():
            members = sorted(value.items(), key=lambda member: _key_order(member[0]))
            return "{" + ", ".join(f"{dumps(key)}: {dumps(item)}" for key, item in members) + "}"
        case list() | tuple():
            return "[" + ", ".join(dumps(item) for item in value) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} has no exact JSON form")


def digest(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical text of `value`."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def as_plain(value: Any) -> Any:
    """`value` for a JSON encoder without Decimal: a Decimal becomes a float where that is exact, else its text."""
    match value:
        case Decimal():
            return float(value) if Decimal(repr(float(value))) == value else _number(value)
        case dict():
            return {key: as_plain(item) for key, item in value.items()}
        case list() | tuple():
            return [as_plain(item) for item in value]
        case _:
            return value


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


def _key_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded
