"""What the tables have in common: one set of metadata, and columns that come in several of them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

_NEW_UUID = text("release_worker_uuid7()")
_NOW = text("now()")
_EMPTY = text("'{}'::jsonb")


def id_column() -> Column[object]:
    return Column("id", Uuid, primary_key=True, server_default=_NEW_UUID)


def time_column(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else _NOW)


def required_time_column(name: str) -> Column[object]:
    """A time that whoever inserts the row must say."""
    return Column(name, DateTime(timezone=True), nullable=False)


def reference(
    name: str, target: str, *, nullable: bool = False, cascade: bool = False, key: bool = False
) -> Column[object]:
    """`cascade`: the row goes with what it refers to; `key`: it is the primary key."""
    refers = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(name, Uuid, refers, nullable=nullable, primary_key=key)


def late_reference(name: str, target: str) -> Column[object]:
    """A nullable reference that closes a circle of tables, so it is added when both exist."""
    return Column(name, Uuid, ForeignKey(f"{target}.id", use_alter=True), nullable=True)


def text_column(name: str, default: str | None = None, *, nullable: bool = False) -> Column[object]:
    return Column(name, Text, nullable=nullable, server_default=None if default is None else text(f"'{default}'"))


def json_column(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=_EMPTY)


def one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def form_column() -> Column[object]:
    """The form in which the row's content was written: see `store.parts`."""
    return Column("form", SmallInteger, nullable=False, server_default=text("1"))
