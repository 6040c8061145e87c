"""SQL of ours, ready to be sent."""

from functools import lru_cache

from sqlalchemy import TextClause, text


@lru_cache(maxsize=512)
def parsed(statement: str) -> TextClause:
    """A statement made of constant fragments; its `:places` are looked for once in a process, not at each use."""
    return text(statement)


def duration(seconds: float) -> str:
    """A time as PostgreSQL reads it, in whole milliseconds."""
    return f"{round(seconds * 1000)}ms"
