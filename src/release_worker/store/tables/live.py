"""Live state: written by the apps, read by a capture and written by a rollback."""

from sqlalchemy import (
    Column,
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
    id_column,
    json_column,
    late_reference,
    metadata,
    one_of,
    reference,
    text_column,
    time_column,
)

organizations = Table(
    "organizations", metadata, id_column(), Column("slug", Text, nullable=False, unique=True), text_column("name")
)

projects = Table(
    "projects",
    metadata,
    id_column(),
    reference("organization_id", "organizations"),
    text_column("slug"),
    text_column("name"),
    late_reference("active_deployment_id", "deployments"),
    UniqueConstraint("organization_id", "slug"),
    Index(None, "active_deployment_id"),
)

deployments = Table(
    "deployments",
    metadata,
    id_column(),
    reference("project_id", "projects"),
    text_column("status", "pending"),
    Column("cloned_from", Uuid, nullable=True),
    text_column("idempotency_key", nullable=True),
    time_column("created_at"),
    UniqueConstraint("project_id", "idempotency_key"),
    one_of("status", "pending", "completed", "failed"),
)

deployment_assets = Table(
    "deployment_assets",
    metadata,
    id_column(),
    reference("deployment_id", "deployments", cascade=True),
    text_column("kind"),
    text_column("slug"),
    text_column("name"),
    text_column("sha256", ""),
    json_column("config"),
    UniqueConstraint("deployment_id", "kind", "slug"),
    one_of("kind", "openapiv3", "function", "package"),
)


def _definitions(name: str) -> Table:
    return Table(
        name,
        metadata,
        id_column(),
        reference("deployment_id", "deployments", cascade=True),
        text_column("urn"),
        text_column("name"),
        text_column("description", nullable=True),
        json_column("definition"),
        UniqueConstraint("deployment_id", "urn"),
    )


tool_definitions = _definitions("tool_definitions")
resource_definitions = _definitions("resource_definitions")

toolsets = Table(
    "toolsets",
    metadata,
    id_column(),
    reference("organization_id", "organizations"),
    reference("project_id", "projects"),
    text_column("slug"),
    text_column("name"),
    text_column("description", nullable=True),
    json_column("settings"),
    text_column("editing_mode", "iteration"),
    reference("parent_toolset_id", "toolsets", nullable=True),
    late_reference("current_release_id", "toolset_releases"),
    time_column("created_at"),
    time_column("updated_at"),
    time_column("deleted_at", nullable=True),
    one_of("editing_mode", "iteration", "staging"),
    Index(
        "toolsets_project_id_slug_key", "project_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")
    ),
    Index(
        "toolsets_staged_copy_key",
        "parent_toolset_id",
        "project_id",
        "organization_id",
        unique=True,
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index(None, "organization_id"),
    Index(None, "current_release_id"),
)


def _members(name: str, urn: str) -> Table:
    return Table(
        name,
        metadata,
        reference("toolset_id", "toolsets", cascade=True),
        text_column(urn),
        Column("position", Integer, nullable=False, server_default=text("0")),
        PrimaryKeyConstraint("toolset_id", urn),
    )


toolset_tools = _members("toolset_tools", "tool_urn")
toolset_resources = _members("toolset_resources", "resource_urn")

prompt_templates = Table(
    "prompt_templates",
    metadata,
    id_column(),
    reference("project_id", "projects"),
    text_column("name"),
    text_column("description", nullable=True),
    text_column("prompt", ""),
    text_column("engine", "mustache"),
    text_column("kind", "prompt"),
    Column("arguments", JSONB(none_as_null=True), nullable=True),
    text_column("tool_urn", nullable=True),
    time_column("created_at"),
    time_column("updated_at"),
    time_column("deleted_at", nullable=True),
    one_of("kind", "prompt", "higher_order_tool"),
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
    reference("project_id", "projects"),
    text_column("key"),
    json_column("value"),
    PrimaryKeyConstraint("project_id", "key"),
)

variations = Table(
    "variations",
    metadata,
    id_column(),
    reference("organization_id", "organizations"),
    reference("toolset_id", "toolsets", nullable=True, cascade=True),
    text_column("tool_urn"),
    json_column("config"),
    time_column("updated_at"),
    UniqueConstraint(
        "organization_id",
        "toolset_id",
        "tool_urn",
        name="variations_organization_id_toolset_id_tool_urn_key",
        postgresql_nulls_not_distinct=True,
    ),
    Index(None, "toolset_id"),
)
