"""Tables of an app's own, whose rows a TableComponent captures."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

Rows = Mapping[str, Sequence[Any]]

# A value of each type, as the text that PostgreSQL takes. Each type is tried as a value, alone and in an array.
TYPES: Mapping[str, Sequence[str]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "0", "32767"),
    "integer": ("0", "-2147483648"),
    "bigint": ("9223372036854775807", "-9223372036854775808", "9007199254740993"),
    "numeric": ("0.1", "-1e-40", "12345678901234567890.1234567890123456789", "NaN", "Infinity", "-Infinity", "1e1000"),
    "numeric(6, 3)": ("1.500", "-999.999"),
    "real": ("0.1", "NaN", "-Infinity", "-0", "1e-45", "3.4028235e38"),
    "double precision": ("0.1", "NaN", "Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.30000000000000004"),
    "money": ("-12.34", "92233720368547758.07"),
    "text": ("", " ", "null", "true", "1", '"', "\\", "{}", "a:b", "%s", ":toolset_id", "é😀\u2028\n\t\x01", "'"),
    "varchar(8)": ("", "12345678"),
    "char(4)": ("", "ab", "abcd"),
    "bpchar": ("ab  ", ""),
    '"char"': ("a",),
    "name": ("pg",),
    "bytea": ("", "\\x00ff5c27", "\\\\"),
    "date": ("2026-02-28", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"),
    "time": ("00:00:00.000001", "24:00:00"),
    "time with time zone": ("10:00:00.5+05:45", "23:59:59-12"),
    "timestamp": ("2026-02-28 23:59:59.999999", "infinity", "0044-03-15 10:00 BC"),
    "timestamp with time zone": (
        "2026-10-25 00:30:00.123456+00",
        "2026-10-25 01:30:00.123456+00",
        "1880-01-01 00:00:00.000001+00",
        "0044-03-15 10:00:00+00 BC",
        "infinity",
        "-infinity",
    ),
    "interval": ("-1 mons +2 days -03:04:05.000006", "178000000 years", "0", "2562047788:00:54.775807"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "0190163d-8694-739b-aea5-966c26f8ad91"),
    "inet": ("10.0.0.1", "10.0.0.0/8", "::1"),
    "cidr": ("10.0.0.0/8",),
    "macaddr": ("08:00:2b:01:02:03",),
    "bit(3)": ("101",),
    "bit varying": ("", "10101"),
    "jsonb": ("null", "1", '"1"', '"null"', "true", '{"a": [null, 1.10, {"b": 12345678901234567890}]}', "[]", '"\\n"'),
    "json": ("null", '{"a": 1,  "a": 2.0}', '"x"', " [] "),
    "jsonpath": ('$."a"[*]',),
    "point": ("(1.1,-0)",),
    "int4range": ("empty", "[1,5)", "(,)"),
    "numrange": ("[1.10,2]",),
    "tstzrange": ('["2026-10-25 00:30:00.5+00",infinity]', "empty", "(,)"),
    "int4multirange": ("{[1,2),[5,)}", "{}"),
    "tsvector": ("'a':1 'b c':2A",),
    "mood": ("sad", "a:b", "it's"),
    "pair": ("(1,)", '(,"a,b")', "(,)", '("3"," ")'),
    "positive": ("1", "0.50"),
    "document": ('"x"', "null", "{}"),
    "labels": ("{}", '{a,"b c",NULL,"NULL"}'),
    "pg_lsn": ("16/B374D848",),
}
NOT_IN_ARRAYS = ("labels",)


def create_types(connection: Connection) -> None:
    """The types of an app's own: an enum, a composite, domains over a number, over JSON and over an array."""
    for definition in (
        "TYPE mood AS ENUM ('sad', 'a:b', 'it''s')",
        "TYPE pair AS (number int, words text)",
        "DOMAIN amount AS numeric CHECK (value >= 0)",
        "DOMAIN positive AS amount",
        "DOMAIN document AS jsonb",
        "DOMAIN labels AS text[]",
    ):
        connection.execute(text(f"CREATE {definition}"))


def column_names() -> dict[str, str]:
    """Columns of all types, and of arrays of them, by name."""
    plain = {f"c{place}": kind for place, kind in enumerate(TYPES)}
    arrays = {f"a{place}": f"{kind}[]" for place, kind in enumerate(TYPES) if kind not in NOT_IN_ARRAYS}
    return plain | arrays


def create_table_of_all_types(engine: Engine) -> None:
    """`things`: an owner, a key of two columns, a column of each type, and an array of each."""
    columns = ", ".join(f"{name} {kind}" for name, kind in column_names().items())
    with engine.begin() as connection:
        create_types(connection)
        connection.execute(
            text(
                f"CREATE TABLE things (owner uuid, region text, number int, {columns}, UNIQUE (owner, region, number))"
            )
        )


def rows_as_text(engine: Engine, table: str, owner_column: str, owner: UUID) -> list[str]:
    """All rows of an owner as PostgreSQL writes a whole row, in order: none of the product's SQL."""
    query = f"SELECT CAST({table} AS text) FROM {table} WHERE {owner_column} = :owner ORDER BY 1"
    with engine.connect() as connection:
        return list(connection.execute(text(query), {"owner": owner}).scalars())
