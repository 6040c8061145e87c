"""JSON by its exact value: the rule that `release_worker.domain.canonical_json` documents, without its code."""

import hashlib
import json
from decimal import Decimal
from typing import Any

Json = Any

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def parsed(text: str) -> Json:
    """The value of a JSON text; every number that is not an integer is a Decimal."""
    return json.loads(text, parse_float=Decimal)


def written(value: Json) -> str:
    """A JSON text as an app might write it: decimals with the zeros that they have, keys in the order given."""
    match value:
        case Decimal():
            return str(value)
        case dict():
            return "{" + ",".join(f"{written(key)}:{written(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(written, value)) + "]"
        case _:
            return json.dumps(value)


def exact(value: Json) -> str:
    """The one text of a value. Two values have the same text only if they are equal as JSON: `true` is not `1`."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | Decimal():
            return _plain(Decimal(value))
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case dict():
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return "{" + ", ".join(f"{exact(key)}: {exact(value[key])}" for key in keys) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(exact, value)) + "]"
        case _:
            raise TypeError(f"{value!r} is not JSON")


def digest(value: Json) -> str:
    """Lower-case hex SHA-256 of the one text."""
    return hashlib.sha256(exact(value).encode()).hexdigest()


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04x}" if character < " " else character


def _plain(number: Decimal) -> str:
    """Plain decimal notation, put together digit by digit."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    whole = "".join(map(str, digits))
    if exponent >= 0:
        whole, fraction = whole + "0" * exponent, ""
    else:
        whole = whole.rjust(1 - exponent, "0")
        whole, fraction = whole[:exponent], whole[exponent:].rstrip("0")
    whole = whole.lstrip("0") or "0"
    text = f"{whole}.{fraction}" if fraction else whole
    return f"-{text}" if sign and text != "0" else text
