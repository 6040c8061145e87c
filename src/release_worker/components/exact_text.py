"""Values of any type as JSON and back, without loss, whatever the settings of the session.

Booleans, integers, numerics and `jsonb` are JSON values of their own; every other value is a JSON string, the text that
PostgreSQL writes for it. That text depends on the session's settings, so they are the same ones whenever it is written
or read: times are in UTC, floats have all their digits.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection

from release_worker.store.statements import parsed

PINNED: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
}

_NUMBERS = "boolean,smallint,integer,bigint,numeric"
_FOUND = ", ".join(f"current_setting('{name}') AS \"{name}\"" for name in PINNED)
_PIN = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in PINNED.items())
_RESET = ", ".join(f"set_config('{name}', \"{name}\", true)" for name in PINNED)


def as_json(value: str) -> str:
    """SQL: the `json` of `value`, which is not NULL."""
    return _native_or_text(value, f"{_NUMBERS},jsonb")


def as_key(value: str) -> str:
    """SQL: the `json` of `value` as a part of a key. A `jsonb` is its text here, so that its null is not NULL's."""
    return _native_or_text(value, _NUMBERS)


def as_text(value: str) -> str:
    """SQL: the text that the type of `value` writes; that of a cast may be another, and less exact."""
    return f"concat({value})"


def pinned(query: str) -> str:
    """SQL: a scalar expression of `query`, a query of one row and one column `content` that begins `FROM pinned`
    with `{pinned}` in the place of that name. It is evaluated under the pinned settings, and those of the session are
    back when it is done: other expressions of the same statement see nothing of it.

    Each step reads from the one before, so that this is their order.
    """
    return f"""(
        WITH _rw_found AS MATERIALIZED (SELECT {_FOUND}),
        _rw_pinned AS MATERIALIZED (SELECT {_PIN} FROM _rw_found),
        _rw_content AS MATERIALIZED ({query.replace("{pinned}", "_rw_pinned")}),
        _rw_reset AS MATERIALIZED (SELECT {_RESET} FROM _rw_found CROSS JOIN _rw_content)
        SELECT content FROM _rw_content CROSS JOIN _rw_reset)"""


@contextmanager
def pinning(connection: Connection) -> Iterator[None]:
    """Around statements that write or read such texts. After an error the transaction, and with it the settings, can
    only be rolled back."""
    pin = f"WITH _rw_found AS MATERIALIZED (SELECT {_FOUND}) SELECT _rw_found.*, {_PIN} FROM _rw_found"
    row = connection.execute(parsed(pin)).one()
    yield
    found = dict(zip(PINNED, row, strict=False))
    places = ", ".join(f"set_config('{name}', :{name}, true)" for name in PINNED)
    connection.execute(parsed(f"SELECT {places}"), found)


def _native_or_text(value: str, native: str) -> str:
    # coalesce with an untyped NULL is of the base type, also of a domain over a domain.
    types = f"CAST('{{{native}}}' AS regtype[])"
    return (
        f"CASE WHEN pg_typeof(coalesce({value}, NULL)) = ANY ({types})"
        f" THEN to_json({value}) ELSE to_json({as_text(value)}) END"
    )
