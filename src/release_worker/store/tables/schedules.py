"""Schedules: written by whoever may ask, and moved along by the worker's tick."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, UniqueConstraint, Uuid, text

from release_worker.store.tables.columns import (
    id_column,
    json_column,
    metadata,
    one_of,
    reference,
    text_column,
    time_column,
)

# A time that Python can read: `infinity` in one row would stop whoever reads it.
_READABLE = "BETWEEN '1970-01-01 00:00:00+00' AND '8999-12-31 00:00:00+00'"
_CHECKS = {
    "name": "name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'",
    "kind": "kind ~ '^[a-z][a-z0-9_]{0,62}$'",
    "arguments": "jsonb_typeof(arguments) = 'object' AND octet_length(arguments::text) <= 100000"
    " AND NOT jsonb_path_exists(arguments, 'strict $.**{251}')",
    "one_time": "(cron IS NULL) <> (fire_at IS NULL)",
    "one_scope": "project_id IS NULL OR toolset_id IS NULL",
    "cron": "char_length(cron) BETWEEN 1 AND 200",
    "timezone": "char_length(timezone) BETWEEN 1 AND 100",
    "catch_up_seconds": "catch_up_seconds BETWEEN 0 AND 2592000",
    "created_by": "char_length(created_by) BETWEEN 1 AND 200",
    "times": f"fire_at {_READABLE} AND next_fire_at {_READABLE} AND last_fire_at {_READABLE}"
    f" AND held_fire_at {_READABLE} AND held_until {_READABLE}"
    f" AND created_at {_READABLE}",
}

release_schedules = Table(
    "release_schedules",
    metadata,
    id_column(),
    reference("organization_id", "organizations"),
    Column("project_id", Uuid, nullable=True),
    Column("toolset_id", Uuid, nullable=True),
    text_column("name"),
    text_column("kind", "create_release"),
    json_column("arguments"),
    text_column("cron", nullable=True),
    time_column("fire_at", nullable=True),
    text_column("timezone", "UTC"),
    text_column("misfire", "once"),
    Column("catch_up_seconds", Integer, nullable=False, server_default=text("3600")),
    text_column("overlap", "skip"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    # The worker fills it in for a row that was written with SQL.
    time_column("next_fire_at", nullable=True),
    time_column("last_fire_at", nullable=True),
    # The instant that waits for the end of a freeze, and when the worker looks again.
    time_column("held_fire_at", nullable=True),
    time_column("held_until", nullable=True),
    text_column("suspended_reason", nullable=True),
    text_column("created_by"),
    time_column("created_at"),
    UniqueConstraint("organization_id", "name"),
    one_of("misfire", "skip", "once", "all"),
    one_of("overlap", "skip", "queue"),
    *(CheckConstraint(check, name=name) for name, check in _CHECKS.items()),
    Index("release_schedules_due_idx", "next_fire_at", postgresql_where=text("enabled AND suspended_reason IS NULL")),
)
