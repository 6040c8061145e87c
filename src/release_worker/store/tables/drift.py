"""Drift, as the worker saw it last: a row for each living toolset that has a current release. Whoever empties the table
loses nothing but that: the next looks fill it again."""

from sqlalchemy import ARRAY, Boolean, Column, Index, Table, Text, Uuid, text

from release_worker.store.tables.columns import metadata, reference, text_column, time_column

toolset_drift = Table(
    "toolset_drift",
    metadata,
    reference("toolset_id", "toolsets", cascade=True, key=True),
    # The release that live state was compared with.
    Column("release_id", Uuid, nullable=True),
    Column("drifted", Boolean, nullable=False, server_default=text("false")),
    Column("components", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    time_column("since", nullable=True),
    time_column("checked_at", nullable=True),
    # Why the last look told nothing.
    text_column("failed", nullable=True),
    Index(None, "checked_at"),
)
