"""References within a document: followed, and gathered into the `$defs` of a schema that stands alone."""

from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from release_worker.domain.openapi.reading import MOST_VALUES, unreadable

LONGEST_CHAIN = 100  # of references that lead to references
# Members of a schema that hold values and no schemas; and those in which any name may stand for a schema.
_DATA = ("const", "default", "enum", "example", "examples")
_SCHEMAS_BY_NAME = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


class References:
    """What the references of one document lead to. All schemas that are made of it may have as many values together as
    a document may have: references can unfold to far more than is written down."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._values = 0

    def followed(self, value: Any) -> Any:
        """The value, or what it refers to. Raises InvalidRequest for a reference that leads out of the document, to
        nothing, or back to itself."""
        for _ in range(LONGEST_CHAIN):
            if not is_reference(value):
                return value
            value = self._target(value["$ref"])
        raise unreadable("has references that lead to each other and to nothing else")

    def standing_alone(self, schemas: Mapping[str, Any]) -> dict[str, Any]:
        """`{"properties": schemas}` with every schema that they refer to in `$defs`, however often and in whatever
        circles. Raises InvalidRequest as `followed`, and for what unfolds to too much."""
        names = _Names()
        definitions: dict[str, Any] = {}
        properties = {name: self._copied(schema, names) for name, schema in schemas.items()}
        while names.waiting:
            pointer = names.waiting.popleft()
            self.followed({"$ref": pointer})  # refuses circles of nothing but references
            definitions[names.of(pointer)] = self._copied(self._target(pointer), names)
        return {"properties": properties, **({"$defs": definitions} if definitions else {})}

    def _copied(self, value: Any, names: "_Names") -> Any:
        """With references to `$defs`; names each that is met."""
        self._count()
        if isinstance(value, list):
            return [self._copied(inner, names) for inner in value]
        if not isinstance(value, dict):
            return value
        copy = {key: self._member(key, inner, names) for key, inner in value.items()}
        if is_reference(value):
            copy["$ref"] = f"#/$defs/{names.of(value['$ref'])}"
        return copy

    def _member(self, key: str, value: Any, names: "_Names") -> Any:
        """A member of a schema: what is data there refers to nothing, whatever it looks like."""
        if key in _DATA:
            return self._data(value)
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            return {name: self._copied(inner, names) for name, inner in value.items()}
        return self._copied(value, names)

    def _data(self, value: Any) -> Any:
        self._count()
        if isinstance(value, list):
            return [self._data(inner) for inner in value]
        return {key: self._data(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    def _count(self) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise unreadable(f"unfolds to more than {MOST_VALUES:,} values")

    def _target(self, pointer: str) -> Any:
        """What `#/components/schemas/Pet` means (RFC 6901)."""
        if not pointer.startswith("#/"):
            raise unreadable(f"refers to {pointer}, which is not in it: bundle all of it into one document first")
        found: Any = self.document
        for part in pointer[2:].split("/"):
            step = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(found):
                found = found[int(step[:9])]
            else:
                raise unreadable(f"refers to {pointer}, which is not there")
        return found


def is_reference(value: Any) -> bool:
    """Whether a value only says where another one is."""
    return isinstance(value, dict) and isinstance(value.get("$ref"), str)


class _Names:
    """The names under which the targets of pointers stand in `$defs`. `waiting`: pointers that were named, in order."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque()
        self._known: dict[str, str] = {}
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last of each name; lower ones are taken

    def of(self, pointer: str) -> str:
        """The last part of the pointer, with a number if that is taken."""
        if pointer not in self._known:
            self._known[pointer] = self._free(_last_part(pointer))
            self.waiting.append(pointer)
        return self._known[pointer]

    def _free(self, last: str) -> str:
        name = last
        while name in self._taken:
            self._numbers[last] = self._numbers.get(last, 1) + 1
            name = f"{last}_{self._numbers[last]}"
        self._taken.add(name)
        return name


def _last_part(pointer: str) -> str:
    return unquote(pointer.rpartition("/")[2]).replace("~1", "_").replace("~0", "_").replace("/", "_")
