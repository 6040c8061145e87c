"""Events: what happened, who wants to be told, and how far that is. Rows are removed when they are old."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from release_worker.store.tables.columns import (
    id_column,
    json_column,
    metadata,
    reference,
    text_column,
    time_column,
)

release_events = Table(
    "release_events",
    metadata,
    id_column(),
    Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
    text_column("type"),
    # No references: what happened stays when its toolset is gone.
    Column("toolset_id", Uuid, nullable=True),
    Column("project_id", Uuid, nullable=True),
    Column("organization_id", Uuid, nullable=True),
    json_column("data"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    # When a delivery was written for each subscription that wants it.
    time_column("dispatched_at", nullable=True),
    CheckConstraint("type ~ '^[a-z_]{1,40}[.][a-z_]{1,40}$'", name="type"),
    Index("release_events_not_dispatched_idx", "seq", postgresql_where=text("dispatched_at IS NULL")),
)

release_event_subscriptions = Table(
    "release_event_subscriptions",
    metadata,
    id_column(),
    reference("organization_id", "organizations", nullable=True, cascade=True),
    reference("project_id", "projects", nullable=True, cascade=True),
    # None of them means all of them.
    Column("types", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    # What may be shown of the following: addresses may hold secrets behind their question mark.
    text_column("receiver"),
    # An address to which events are posted, with the secret that signs them; or a Celery task, and its queue.
    text_column("url", nullable=True),
    text_column("secret", nullable=True),
    text_column("secret_fingerprint", nullable=True),
    text_column("task", nullable=True),
    text_column("queue", nullable=True),
    # The newest event that there was when this was made: those after it are delivered.
    Column("after_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    text_column("disabled_reason", nullable=True),
    # Attempts that failed since the last success, since when, and until when there is no further attempt.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    time_column("failing_since", nullable=True),
    time_column("paused_until", nullable=True),
    time_column("last_delivered_at", nullable=True),
    text_column("last_error", nullable=True),
    # Who delivers to it now, and until when that is believed.
    Column("leased_by", Uuid, nullable=True),
    time_column("lease_until", nullable=True),
    text_column("created_by"),
    time_column("created_at"),
    CheckConstraint(
        "num_nonnulls(url, secret, secret_fingerprint) = 3 AND num_nonnulls(task, queue) = 0"
        " OR num_nonnulls(url, secret, secret_fingerprint) = 0 AND num_nonnulls(task, queue) = 2",
        name="receiver",
    ),
    Index(None, "organization_id"),
    Index(None, "project_id"),
)

release_event_deliveries = Table(
    "release_event_deliveries",
    metadata,
    reference("event_id", "release_events", cascade=True),
    reference("subscription_id", "release_event_subscriptions", cascade=True),
    # That of the event: deliveries are tried in this order.
    Column("seq", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    time_column("next_attempt_at"),
    time_column("delivered_at", nullable=True),
    # When it was given up.
    time_column("dead_at", nullable=True),
    text_column("last_error", nullable=True),
    PrimaryKeyConstraint("event_id", "subscription_id"),
    Index(
        "release_event_deliveries_open_idx",
        "subscription_id",
        "dead_at",
        "seq",
        postgresql_where=text("delivered_at IS NULL"),
    ),
)
