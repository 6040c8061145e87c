"""Names of tables and columns, written into SQL so that no character of them means anything else."""

from collections.abc import Sequence

_LONGEST = 63  # bytes; PostgreSQL cuts the rest off, and would mean something else
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")


def quoted(name: str) -> str:
    """SQL: the identifier `name`, whatever its characters: neither `:place` nor `%s` of a name is taken for a
    parameter."""
    escaped = _escaped(name)
    return f'"{name}"' if escaped == name else f'U&"{escaped}"'


def literal(value: str) -> str:
    """SQL: the text `value`, whatever its characters."""
    escaped = _escaped(value)
    return f"'{value}'" if escaped == value else f"U&'{escaped}'"


def qualified(table: Sequence[str]) -> str:
    """SQL: a table, by its name or by its schema and its name."""
    return ".".join(map(quoted, table))


def registered(table: Sequence[str]) -> str:
    """SQL: the same table, as a `regclass`."""
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table)
    return f"CAST({literal(name)} AS regclass)"


def checked(name: str, what: str) -> str:
    """`name`, if PostgreSQL can have something of this name. Raises ValueError."""
    if not isinstance(name, str) or not name or "\0" in name or len(name.encode("utf-8", "replace")) > _LONGEST:
        raise ValueError(f"{what} must be a name of 1 to {_LONGEST} bytes: {name!r}")
    return name


def _escaped(text: str) -> str:
    return "".join(character if character in _PLAIN else f"\\+{ord(character):06x}" for character in text)
