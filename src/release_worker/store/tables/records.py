"""Release records: written by the worker alone and never edited, which triggers see to; and the ledger of requests."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from release_worker.store.tables.columns import (
    form_column,
    id_column,
    json_column,
    metadata,
    one_of,
    reference,
    text_column,
    time_column,
)

toolset_versions = Table(
    "toolset_versions",
    metadata,
    id_column(),
    reference("toolset_id", "toolsets"),
    Column("version", BigInteger, nullable=False),
    Column("tool_urns", ARRAY(Text), nullable=False),
    # The positions that the apps had given; NULL stands for 0, 1, 2, …
    Column("tool_positions", ARRAY(Integer), nullable=True),
    Column("resource_urns", ARRAY(Text), nullable=False),
    Column("resource_positions", ARRAY(Integer), nullable=True),
    text_column("name"),
    text_column("description", nullable=True),
    json_column("settings"),
    text_column("digest"),
    reference("predecessor_id", "toolset_versions", nullable=True),
    time_column("created_at"),
    form_column(),
    UniqueConstraint("toolset_id", "version"),
    Index(None, "predecessor_id"),
)

source_states = Table(
    "source_states",
    metadata,
    id_column(),
    reference("project_id", "projects"),
    Column("deployment_id", Uuid, nullable=True),
    Column("deployment_snapshot", JSONB(none_as_null=False), nullable=False),
    Column("system_snapshot", JSONB(none_as_null=False), nullable=False),
    text_column("digest"),
    time_column("created_at"),
    form_column(),
    UniqueConstraint("project_id", "digest"),
)

variation_versions = Table(
    "variation_versions",
    metadata,
    id_column(),
    text_column("scope"),
    reference("organization_id", "organizations"),
    Column("toolset_id", Uuid, nullable=True),
    Column("version", BigInteger, nullable=False),
    json_column("config"),
    text_column("digest"),
    reference("predecessor_id", "variation_versions", nullable=True),
    time_column("created_at"),
    form_column(),
    UniqueConstraint("organization_id", "toolset_id", "version", postgresql_nulls_not_distinct=True),
    one_of("scope", "global", "toolset"),
    CheckConstraint("(scope = 'toolset') = (toolset_id IS NOT NULL)", name="scope_names_toolset"),
    Index(None, "predecessor_id"),
)

toolset_releases = Table(
    "toolset_releases",
    metadata,
    id_column(),
    reference("toolset_id", "toolsets"),
    Column("release_number", BigInteger, nullable=False),
    text_column("kind", "release"),
    reference("toolset_version_id", "toolset_versions"),
    reference("source_state_id", "source_states", nullable=True),
    # Lineage only; it may be gone.
    Column("deployment_id", Uuid, nullable=True),
    reference("global_variations_version_id", "variation_versions", nullable=True),
    reference("toolset_variations_version_id", "variation_versions", nullable=True),
    text_column("digest"),
    reference("predecessor_id", "toolset_releases", nullable=True),
    text_column("notes", nullable=True),
    json_column("labels"),
    text_column("released_by"),
    text_column("request_id", nullable=True),
    time_column("created_at"),
    UniqueConstraint("toolset_id", "release_number"),
    CheckConstraint("release_number > 0", name="release_number"),
    one_of("kind", "release", "backup", "restored"),
    Index(None, "toolset_version_id"),
    Index(None, "source_state_id"),
    Index(None, "global_variations_version_id"),
    Index(None, "toolset_variations_version_id"),
    Index(None, "predecessor_id"),
    Index(None, "request_id", postgresql_where=text("request_id IS NOT NULL")),
)

component_states = Table(
    "component_states",
    metadata,
    id_column(),
    text_column("component"),
    Column("scope_id", Uuid, nullable=False),
    json_column("content"),
    text_column("digest"),
    time_column("created_at"),
    form_column(),
    UniqueConstraint("component", "scope_id", "digest"),
)

release_components = Table(
    "release_components",
    metadata,
    reference("release_id", "toolset_releases"),
    text_column("component"),
    reference("component_state_id", "component_states"),
    PrimaryKeyConstraint("release_id", "component"),
    Index(None, "component_state_id"),
)

toolset_rollbacks = Table(
    "toolset_rollbacks",
    metadata,
    id_column(),
    reference("toolset_id", "toolsets"),
    Column("from_release_id", Uuid, nullable=True),
    Column("to_release_id", Uuid, nullable=False),
    Column("backup_release_id", Uuid, nullable=True),
    Column("components", ARRAY(Text), nullable=False),
    json_column("changes"),
    text_column("reason", nullable=True),
    text_column("rolled_back_by"),
    text_column("request_id", nullable=True),
    time_column("created_at"),
    Index(None, "toolset_id", "created_at"),
    Index(None, "request_id", postgresql_where=text("request_id IS NOT NULL")),
)

release_marks = Table(
    "release_marks",
    metadata,
    id_column(),
    reference("release_id", "toolset_releases"),
    text_column("mark"),
    text_column("reason", nullable=True),
    text_column("marked_by"),
    text_column("request_id", nullable=True),
    time_column("created_at"),
    one_of("mark", "good", "bad"),
    Index(None, "release_id", "created_at"),
    Index(None, "request_id", postgresql_where=text("request_id IS NOT NULL")),
)

# What is to be imported. The digest is the bundle's checksum.
# Roles that are bound to organizations, and to which.
release_callers = Table(
    "release_callers",
    metadata,
    text_column("role_name"),
    reference("organization_id", "organizations", cascade=True),
    PrimaryKeyConstraint("role_name", "organization_id"),
)

release_bundles = Table(
    "release_bundles",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("document", JSONB(none_as_null=False), nullable=False),
    time_column("created_at"),
)

# What anyone may write who may ask: each row must have the form of a request.
_UNFINISHED = {
    "id": r"char_length(id) BETWEEN 1 AND 255 AND id !~ '[\u0001-\u001f\u007f-\u009f]'",
    "kind": "kind ~ '^[a-z][a-z0-9_]{0,62}$'",
    "idempotency_key": "char_length(idempotency_key) BETWEEN 1 AND 200",
    "requested_by": "char_length(requested_by) BETWEEN 1 AND 200",
    "attempts": "attempts >= 0",
    "payload": "jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 1000000"
    " AND NOT jsonb_path_exists(payload, 'strict $.**{251}')",
}

release_requests = Table(
    "release_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
    text_column("kind"),
    Column("toolset_id", Uuid, nullable=True),
    text_column("idempotency_key", nullable=True),
    json_column("payload"),
    text_column("status", "queued"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Those that were used before a person brought the request back.
    Column("attempts_before", Integer, nullable=False, server_default=text("0")),
    time_column("next_attempt_at", nullable=True),
    time_column("published_at", nullable=True),
    # While a request runs: who runs it, and until when that is believed without news of them.
    text_column("worker", nullable=True),
    time_column("lease_until", nullable=True),
    Column("result", JSONB(none_as_null=True), nullable=True),
    Column("error", JSONB(none_as_null=True), nullable=True),
    # Seconds of the last attempt that its worker measured, by name.
    Column("timings", JSONB(none_as_null=True), nullable=True),
    text_column("requested_by"),
    time_column("created_at"),
    time_column("started_at", nullable=True),
    time_column("finished_at", nullable=True),
    # In whose trace it was asked (W3C Trace Context).
    text_column("traceparent", nullable=True),
    CheckConstraint("char_length(traceparent) <= 55", name="traceparent"),
    UniqueConstraint("toolset_id", "idempotency_key"),
    one_of("status", "queued", "running", "succeeded", "failed"),
    CheckConstraint("toolset_id IS NOT NULL OR status = 'failed'", name="toolset"),
    *(
        CheckConstraint(f"status IN ('succeeded', 'failed') OR {check}", name=name)
        for name, check in _UNFINISHED.items()
    ),
    Index(
        "release_requests_mailbox_idx",
        "toolset_id",
        "seq",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
    Index(
        "release_requests_unfinished_idx",
        "seq",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)
