"""SQL of ours, ready to be sent.

Our tables, views and functions are named with a symbol for their schema: `ours.toolsets`,
`ours.release_worker_digest(…)`. Which schema that is, the engine says, or the connection of a caller, when a statement
is sent: no `search_path` counts, no session keeps anything, and a statement of the caller's own is sent as it is.
"""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event, text

from release_worker.domain.database import in_sql

# Options of an execution: that the statement is of ours; and the schema, ready for SQL.
_OURS, _SCHEMA = "release_worker_ours", "release_worker_schema"
_SYMBOL = re.compile(r"(?<![\w.\"])ours\.")


@lru_cache(maxsize=512)
def parsed(statement: str) -> TextClause:
    """A statement made of constant fragments; its `:places` are looked for once in a process, not at each use."""
    return text(statement).execution_options(**{_OURS: True})


def in_schema(statement: str, schema: str) -> str:
    """The statement as PostgreSQL gets it; `schema` is ready for SQL."""
    return _in_schema(statement, schema) if "ours." in statement else statement


@lru_cache(maxsize=1024)
def _in_schema(statement: str, schema: str) -> str:
    return _SYMBOL.sub(lambda _: f"{schema}.", statement)


def name_schema(engine: Engine, schema: str) -> None:
    """From now on, whatever is sent through this engine of ours names this schema: also statements of components, in
    which expressions of ours may stand."""
    name = in_sql(schema)

    def named(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> Any:
        return in_schema(statement, name), parameters

    event.listen(engine, "before_cursor_execute", named, retval=True)


def join(connection: Connection, schema: str) -> Connection:
    """Somebody else's connection, on which statements of ours name this schema from now on, and only they."""
    if _SCHEMA not in connection.get_execution_options():
        event.listen(connection, "before_cursor_execute", _named_if_ours, retval=True)
    return connection.execution_options(**{_SCHEMA: in_sql(schema)})


def _named_if_ours(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    options = context.execution_options
    return (in_schema(statement, options[_SCHEMA]) if _OURS in options else statement), parameters


def duration(seconds: float) -> str:
    """A time as PostgreSQL reads it, in whole milliseconds."""
    return f"{round(seconds * 1000)}ms"
