"""The schema, as SQLAlchemy knows it: what the migrations build and `alembic check` compares with.

Live state is written by the apps, read by a capture and written by a rollback. Release records are written by the
worker alone and never edited: triggers refuse it. Queries are plain SQL beside the functions that run them.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
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


def _id() -> Column[object]:
    return Column("id", Uuid, primary_key=True, server_default=_NEW_UUID)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else _NOW)


def _reference(name: str, target: str, *, nullable: bool = False, cascade: bool = False) -> Column[object]:
    key = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(name, Uuid, key, nullable=nullable)


def _late_reference(name: str, target: str) -> Column[object]:
    """A nullable reference that closes a circle of tables, so it is added when both exist."""
    return Column(name, Uuid, ForeignKey(f"{target}.id", use_alter=True), nullable=True)


def _text(name: str, default: str | None = None, *, nullable: bool = False) -> Column[object]:
    return Column(name, Text, nullable=nullable, server_default=None if default is None else text(f"'{default}'"))


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=_EMPTY)


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


# Live state

organizations = Table(
    "organizations", metadata, _id(), Column("slug", Text, nullable=False, unique=True), _text("name")
)

projects = Table(
    "projects",
    metadata,
    _id(),
    _reference("organization_id", "organizations"),
    _text("slug"),
    _text("name"),
    _late_reference("active_deployment_id", "deployments"),
    UniqueConstraint("organization_id", "slug"),
    Index(None, "active_deployment_id"),
)

deployments = Table(
    "deployments",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    _text("status", "pending"),
    Column("cloned_from", Uuid, nullable=True),
    _text("idempotency_key", nullable=True),
    _time("created_at"),
    UniqueConstraint("project_id", "idempotency_key"),
    _one_of("status", "pending", "completed", "failed"),
)

deployment_assets = Table(
    "deployment_assets",
    metadata,
    _id(),
    _reference("deployment_id", "deployments", cascade=True),
    _text("kind"),
    _text("slug"),
    _text("name"),
    _text("sha256", ""),
    _json("config"),
    UniqueConstraint("deployment_id", "kind", "slug"),
    _one_of("kind", "openapiv3", "function", "package"),
)


def _definitions(name: str) -> Table:
    return Table(
        name,
        metadata,
        _id(),
        _reference("deployment_id", "deployments", cascade=True),
        _text("urn"),
        _text("name"),
        _text("description", nullable=True),
        _json("definition"),
        UniqueConstraint("deployment_id", "urn"),
    )


tool_definitions = _definitions("tool_definitions")
resource_definitions = _definitions("resource_definitions")

toolsets = Table(
    "toolsets",
    metadata,
    _id(),
    _reference("organization_id", "organizations"),
    _reference("project_id", "projects"),
    _text("slug"),
    _text("name"),
    _text("description", nullable=True),
    _json("settings"),
    _text("editing_mode", "iteration"),
    _reference("parent_toolset_id", "toolsets", nullable=True),
    _late_reference("current_release_id", "toolset_releases"),
    _time("created_at"),
    _time("updated_at"),
    _time("deleted_at", nullable=True),
    _one_of("editing_mode", "iteration", "staging"),
    Index(
        "toolsets_project_id_slug_key", "project_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")
    ),
    Index(None, "organization_id"),
    Index(None, "current_release_id"),
)


def _members(name: str, urn: str) -> Table:
    return Table(
        name,
        metadata,
        _reference("toolset_id", "toolsets", cascade=True),
        _text(urn),
        Column("position", Integer, nullable=False, server_default=text("0")),
        PrimaryKeyConstraint("toolset_id", urn),
    )


toolset_tools = _members("toolset_tools", "tool_urn")
toolset_resources = _members("toolset_resources", "resource_urn")

prompt_templates = Table(
    "prompt_templates",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    _text("name"),
    _text("description", nullable=True),
    _text("prompt", ""),
    _text("engine", "mustache"),
    _text("kind", "prompt"),
    Column("arguments", JSONB(none_as_null=True), nullable=True),
    _text("tool_urn", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    _time("deleted_at", nullable=True),
    _one_of("kind", "prompt", "higher_order_tool"),
    Index(
        "prompt_templates_project_id_name_key",
        "project_id",
        "name",
        unique=True,
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index(
        "prompt_templates_deleted_idx",
        "project_id",
        "name",
        "deleted_at",
        postgresql_where=text("deleted_at IS NOT NULL"),
    ),
)

system_configs = Table(
    "system_configs",
    metadata,
    _reference("project_id", "projects"),
    _text("key"),
    _json("value"),
    PrimaryKeyConstraint("project_id", "key"),
)

variations = Table(
    "variations",
    metadata,
    _id(),
    _reference("organization_id", "organizations"),
    _reference("toolset_id", "toolsets", nullable=True, cascade=True),
    _text("tool_urn"),
    _json("config"),
    _time("updated_at"),
    UniqueConstraint(
        "organization_id",
        "toolset_id",
        "tool_urn",
        name="variations_organization_id_toolset_id_tool_urn_key",
        postgresql_nulls_not_distinct=True,
    ),
    Index(None, "toolset_id"),
)

# Release records

toolset_versions = Table(
    "toolset_versions",
    metadata,
    _id(),
    _reference("toolset_id", "toolsets"),
    Column("version", BigInteger, nullable=False),
    Column("tool_urns", ARRAY(Text), nullable=False),
    # The positions that the apps had given; NULL stands for 0, 1, 2, …
    Column("tool_positions", ARRAY(Integer), nullable=True),
    Column("resource_urns", ARRAY(Text), nullable=False),
    Column("resource_positions", ARRAY(Integer), nullable=True),
    _text("name"),
    _text("description", nullable=True),
    _json("settings"),
    _text("digest"),
    _reference("predecessor_id", "toolset_versions", nullable=True),
    _time("created_at"),
    UniqueConstraint("toolset_id", "version"),
    Index(None, "predecessor_id"),
)

source_states = Table(
    "source_states",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    Column("deployment_id", Uuid, nullable=True),
    Column("deployment_snapshot", JSONB(none_as_null=False), nullable=False),
    Column("system_snapshot", JSONB(none_as_null=False), nullable=False),
    _text("digest"),
    _time("created_at"),
    UniqueConstraint("project_id", "digest"),
)

variation_versions = Table(
    "variation_versions",
    metadata,
    _id(),
    _text("scope"),
    _reference("organization_id", "organizations"),
    Column("toolset_id", Uuid, nullable=True),
    Column("version", BigInteger, nullable=False),
    _json("config"),
    _text("digest"),
    _reference("predecessor_id", "variation_versions", nullable=True),
    _time("created_at"),
    UniqueConstraint("organization_id", "toolset_id", "version", postgresql_nulls_not_distinct=True),
    _one_of("scope", "global", "toolset"),
    CheckConstraint("(scope = 'toolset') = (toolset_id IS NOT NULL)", name="scope_names_toolset"),
    Index(None, "predecessor_id"),
)

toolset_releases = Table(
    "toolset_releases",
    metadata,
    _id(),
    _reference("toolset_id", "toolsets"),
    Column("release_number", BigInteger, nullable=False),
    _text("kind", "release"),
    _reference("toolset_version_id", "toolset_versions"),
    _reference("source_state_id", "source_states", nullable=True),
    _reference("global_variations_version_id", "variation_versions", nullable=True),
    _reference("toolset_variations_version_id", "variation_versions", nullable=True),
    _text("digest"),
    _reference("predecessor_id", "toolset_releases", nullable=True),
    _text("notes", nullable=True),
    _json("labels"),
    _text("released_by"),
    _text("request_id", nullable=True),
    _time("created_at"),
    UniqueConstraint("toolset_id", "release_number"),
    CheckConstraint("release_number > 0", name="release_number"),
    _one_of("kind", "release", "backup", "restored"),
    Index(None, "toolset_version_id"),
    Index(None, "source_state_id"),
    Index(None, "global_variations_version_id"),
    Index(None, "toolset_variations_version_id"),
    Index(None, "predecessor_id"),
)

component_states = Table(
    "component_states",
    metadata,
    _id(),
    _text("component"),
    Column("scope_id", Uuid, nullable=False),
    _json("content"),
    _text("digest"),
    _time("created_at"),
    UniqueConstraint("component", "scope_id", "digest"),
)

release_components = Table(
    "release_components",
    metadata,
    _reference("release_id", "toolset_releases"),
    _text("component"),
    _reference("component_state_id", "component_states"),
    PrimaryKeyConstraint("release_id", "component"),
    Index(None, "component_state_id"),
)

toolset_rollbacks = Table(
    "toolset_rollbacks",
    metadata,
    _id(),
    _reference("toolset_id", "toolsets"),
    Column("from_release_id", Uuid, nullable=True),
    Column("to_release_id", Uuid, nullable=False),
    Column("backup_release_id", Uuid, nullable=True),
    Column("components", ARRAY(Text), nullable=False),
    _json("changes"),
    _text("reason", nullable=True),
    _text("rolled_back_by"),
    _text("request_id", nullable=True),
    _time("created_at"),
    Index(None, "toolset_id", "created_at"),
)

release_requests = Table(
    "release_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
    _text("kind"),
    Column("toolset_id", Uuid, nullable=True),
    _text("idempotency_key", nullable=True),
    _json("payload"),
    _text("status", "queued"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time("next_attempt_at", nullable=True),
    _time("published_at", nullable=True),
    # While a request runs: who runs it, and until when that is believed without news of them.
    _text("worker", nullable=True),
    _time("lease_until", nullable=True),
    Column("result", JSONB(none_as_null=True), nullable=True),
    Column("error", JSONB(none_as_null=True), nullable=True),
    _text("requested_by"),
    _time("created_at"),
    _time("started_at", nullable=True),
    _time("finished_at", nullable=True),
    UniqueConstraint("toolset_id", "idempotency_key"),
    _one_of("status", "queued", "running", "succeeded", "failed"),
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
