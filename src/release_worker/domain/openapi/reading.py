"""The value of a document, in JSON or YAML, within bounds."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import yaml

from release_worker.domain import canonical_json
from release_worker.domain.editing.contents import refused
from release_worker.domain.editing.names import MOST_DIGITS, too_many_digits
from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest, UnsupportedContent

LARGEST_DOCUMENT = 16 * 1_048_576  # bytes
DEEPEST_DOCUMENT = 100  # arrays and objects around a value; those of people have some twenty
MOST_VALUES = 1_000_000  # also those that an alias of YAML repeats


def read_value(document: bytes) -> Any:
    """The JSON value of a document: JSON if it begins with a brace, else YAML. Numbers keep their exact values.

    Raises InvalidRequest for what is neither, and for what is too large, too deep or refers to itself.
    """
    if len(document) > LARGEST_DOCUMENT:
        raise unreadable(f"has more than {LARGEST_DOCUMENT:,} bytes")
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unreadable("is not UTF-8") from None
    value = _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text)
    _check_size(value)
    return value


def written(document: str | Mapping[str, Any]) -> bytes:
    """The bytes of a document that is given as text, or as its value. Raises InvalidRequest for what is no JSON."""
    if isinstance(document, str):
        return document.encode("utf-8", "surrogatepass")  # which is no UTF-8, and is refused as such
    try:
        return canonical_json.dumps(dict(document)).encode("utf-8", "surrogatepass")
    except TypeError as error:
        raise unreadable(f"is not JSON: {error}") from None


def unreadable(problem: str) -> InvalidRequest:
    """The error of a document that has this problem."""
    return refused("document", printable(" ".join(problem.split()), 300))


def _read_json(text: str) -> Any:
    try:
        return canonical_json.loads(text)
    except UnsupportedContent:
        raise _too_deep() from None
    except ValueError as error:
        raise unreadable(f"is not JSON: {error}") from None


def _read_yaml(text: str) -> Any:
    try:
        _check_depth(text)
        loader = _Loader(text)
        try:
            return _built(loader.get_single_node(), {})
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise unreadable(f"is not YAML: {error.problem}{place}") from None
    except (yaml.YAMLError, ArithmeticError, ValueError) as error:
        raise unreadable(f"is not YAML: {error}") from None


def _check_depth(text: str) -> None:
    """Before anything is built: the parser itself needs no more stack for what is deeper."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST_DOCUMENT:
            raise _too_deep()


def _too_deep() -> InvalidRequest:
    return unreadable(f"is nested more than {DEEPEST_DOCUMENT} levels deep")


def _check_size(document: Any) -> None:
    """What an alias of YAML repeats is counted as often as it stands there: so it would be written down. And so would a
    number be, by a model that takes `1e999999999` for an integer."""
    waiting, values = [(document, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if depth > DEEPEST_DOCUMENT:
            raise _too_deep()
        if values > MOST_VALUES:
            raise unreadable(f"has more than {MOST_VALUES:,} values")
        if isinstance(value, dict):
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)
        elif isinstance(value, Decimal) and too_many_digits(value):
            raise unreadable(f"has numbers of more than {MOST_DIGITS} digits")


_TAG = "tag:yaml.org,2002:"
# What stands for something else than its own text if it is not quoted, as JSON and YAML 1.2 have it: `yes` and
# `2024-05-01` are texts.
_PLAIN: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|"), lambda _text: None),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (
        "float",
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"),
        lambda text: canonical_json.loads(str(Decimal(text))),
    ),
)
_READ = {f"{_TAG}{name}": read for name, _, read in _PLAIN} | {f"{_TAG}str": str}


_KINDS: dict[type[Any], str] = {yaml.ScalarNode: "str", yaml.SequenceNode: "seq", yaml.MappingNode: "map"}


class _Loader(yaml.CSafeLoader):
    """Composes nodes with the tags that JSON has."""

    def resolve(self, kind: type[Any], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return next((f"{_TAG}{name}" for name, form, _ in _PLAIN if form.fullmatch(value)), f"{_TAG}str")
        return f"{_TAG}{_KINDS[kind]}"


def _built(node: yaml.Node | None, known: dict[int, Any]) -> Any:
    """The value of a node; an alias has the value of what it names, which is built once."""
    if node is None:
        return None
    if id(node) not in known:
        known[id(node)] = _OPEN
        known[id(node)] = _built_once(node, known)
    if known[id(node)] is _OPEN:
        raise _refused("an alias names what it is a part of", node)
    return known[id(node)]


_OPEN = object()  # what is being built


def _built_once(node: yaml.Node, known: dict[int, Any]) -> Any:
    match node:
        case yaml.ScalarNode() if node.tag in _READ:
            return _READ[node.tag](node.value)
        case yaml.SequenceNode() if node.tag == f"{_TAG}seq":
            return [_built(inner, known) for inner in node.value]
        case yaml.MappingNode() if node.tag == f"{_TAG}map":
            return _mapping(node, known)
        case _:
            raise _refused(f"the tag {node.tag} is not supported", node)


def _mapping(node: yaml.MappingNode, known: dict[int, Any]) -> dict[str, Any]:
    """Every key is a text: `200` is "200"."""
    made: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a key must be a text", key)
        if key.value == "<<":
            raise _refused("merge keys (<<) are not supported", key)
        if key.value in made:
            raise _refused(f"the key {key.value} is there twice", key)
        made[key.value] = _built(value, known)
    return made


def _refused(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
