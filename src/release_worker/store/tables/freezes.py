"""Freezes: windows in which the toolsets of a project stay as they are, or if no project is named all those of the
organization. People write them, through the client."""

from sqlalchemy import CheckConstraint, Index, Table

from release_worker.store.tables.columns import (
    id_column,
    metadata,
    reference,
    required_time_column,
    text_column,
    time_column,
)

release_freezes = Table(
    "release_freezes",
    metadata,
    id_column(),
    reference("organization_id", "organizations", cascade=True),
    reference("project_id", "projects", nullable=True, cascade=True),
    required_time_column("starts_at"),
    required_time_column("ends_at"),
    text_column("reason"),
    text_column("created_by"),
    time_column("created_at"),
    CheckConstraint(
        "'1970-01-01 00:00+00' <= starts_at AND starts_at < ends_at AND ends_at < '9999-01-01 00:00+00'", name="window"
    ),
    Index(None, "organization_id", "ends_at"),
)
