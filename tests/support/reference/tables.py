"""The tables: columns, keys and constraints, as `store/tables` declares them and the migrations make them."""

from sqlalchemy import CheckConstraint, Column, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import DefaultClause

from release_worker.store.tables import drift, events, freezes, live, measurements, metadata, records, schedules
from tests.support.reference.markdown import code, document, paragraphs, table

ABOUT = """
Apps write live state. Only the worker writes release records; the client adds rows to `release_requests`, and writes
`release_schedules`. `release-worker db grants` prints what each role may do. README says
[which row to hold](../../README.md#the-tables) while you edit a table. All tables are in the schema that
`RELEASE_WORKER_SCHEMA` names, by default `public` ([Share a database with an app](../how-to/share-a-database.md)).
"""
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def page() -> str:
    groups = {
        "Live state": live,
        "Records": records,
        "Schedules": schedules,
        "Freezes": freezes,
        "Events": events,
        "Drift": drift,
        "Measurements": measurements,
    }
    sections = []
    for title, module in groups.items():
        named = {name for name, value in vars(module).items() if isinstance(value, Table)}
        sections += [f"## {title}", paragraphs(module.__doc__)]
        sections += [_table(one) for one in metadata.tables.values() if one.name in named]
    return document("Tables", ABOUT, *sections)


def _table(described: Table) -> str:
    rows = ([code(column.name), _type(column), _about(column)] for column in described.columns)
    rules = [rule for rule in map(_rule, described.constraints) if rule]
    rules += [
        f"{code(', '.join(column.name for column in index.columns))} is unique, where {code(str(where))}"
        for index in described.indexes
        if index.unique and (where := index.dialect_options["postgresql"]["where"]) is not None
    ]
    parts = [f"### {described.name}", table("column", "type", "", rows=rows)]
    return "\n\n".join([*parts, *(["\n".join(f"- {rule}" for rule in sorted(rules))] if rules else [])])


def _type(column: Column[object]) -> str:
    return column.type.compile(DIALECT).lower()


def _about(column: Column[object]) -> str:
    parts = ["key"] if column.primary_key else []
    for key in column.foreign_keys:
        target = key.target_fullname.split(".")[0]
        parts.append(f"→ [{target}](#{target}){', deleted with it' if key.ondelete == 'CASCADE' else ''}")
    if column.nullable:
        parts.append("may be NULL")
    if isinstance(column.server_default, DefaultClause):
        parts.append(f"default {code(str(column.server_default.arg))}")
    if column.identity is not None:
        parts.append("numbered by PostgreSQL")
    return "; ".join(parts)


def _rule(constraint: object) -> str | None:
    match constraint:
        case UniqueConstraint():
            nulls = constraint.dialect_options["postgresql"]["nulls_not_distinct"]
            columns = ", ".join(column.name for column in constraint.columns)
            return f"{code(columns)} is unique{'; two NULLs count as equal' if nulls else ''}"
        case CheckConstraint():
            return f"check: {code(' '.join(str(constraint.sqltext).split()))}"
        case _:
            return None
