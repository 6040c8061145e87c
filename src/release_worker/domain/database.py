"""A PostgreSQL database, and the schema of it in which everything of ours is."""

import hashlib
import re
from dataclasses import dataclass

PUBLIC = "public"
LONGEST = 63  # bytes; PostgreSQL cuts the rest off, and would mean something else
ALLOWED_SCHEMA = (
    "a name of letters, digits, _, $, - and spaces, with a letter or _ first and no space last, of at most "
    f"{LONGEST} bytes; and none of PostgreSQL's own, such as pg_catalog"
)
# No character of it ends a quoted name or a text, or begins a parameter.
_NAME = re.compile(r"[^\W\d]([\w $-]*[\w$-])?")


@dataclass(frozen=True, slots=True)
class Database:
    """`url` is a `postgresql+psycopg://` one, and may hold a password."""

    url: str
    schema: str = PUBLIC

    @classmethod
    def of(cls, database: "Database | str") -> "Database":
        """A URL alone means the schema `public`."""
        return cls(database) if isinstance(database, str) else database

    def named(self, thing: str) -> str:
        """A table of ours, as a person would write it in SQL."""
        return f"{in_sql(self.schema)}.{thing}"

    def __repr__(self) -> str:
        return f"Database(schema={self.schema!r})"


def checked_schema(name: str) -> str:
    """`name`, if a schema of ours may have it. Raises ValueError."""
    if not _NAME.fullmatch(name) or len(name.encode()) > LONGEST:
        raise ValueError(f"a schema has {ALLOWED_SCHEMA}")
    if name.startswith("pg_") or name == "information_schema":
        raise ValueError("this schema is PostgreSQL's own")
    return name


def in_sql(schema: str) -> str:
    """SQL: the schema of this name, which `checked_schema` has let pass."""
    return schema if schema == PUBLIC else f'"{schema}"'


def channel_of(schema: str) -> str:
    """Where the door of this schema notifies of its requests. Migration 0024 derives the same."""
    if schema == PUBLIC:
        return "release_worker"
    return f"release_worker_{hashlib.md5(schema.encode(), usedforsecurity=False).hexdigest()}"
