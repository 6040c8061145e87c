"""Live state: what the apps write, a capture reads and a rollback writes."""

from alembic import op

revision: str = "0002_live_state"
down_revision: str | None = "0001_functions"

STATEMENTS = (
    """
    CREATE TABLE organizations (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        slug text NOT NULL,
        name text NOT NULL,
        CONSTRAINT organizations_pkey PRIMARY KEY (id),
        CONSTRAINT organizations_slug_key UNIQUE (slug)
    )
    """,
    """
    CREATE TABLE projects (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        organization_id uuid NOT NULL,
        slug text NOT NULL,
        name text NOT NULL,
        active_deployment_id uuid,
        CONSTRAINT projects_pkey PRIMARY KEY (id),
        CONSTRAINT projects_organization_id_slug_key UNIQUE (organization_id, slug),
        CONSTRAINT projects_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id)
    )
    """,
    """
    CREATE INDEX projects_active_deployment_id_idx ON projects (active_deployment_id)
    """,
    """
    CREATE TABLE deployments (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        project_id uuid NOT NULL,
        status text DEFAULT 'pending' NOT NULL,
        cloned_from uuid,
        idempotency_key text,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT deployments_pkey PRIMARY KEY (id),
        CONSTRAINT deployments_project_id_idempotency_key_key UNIQUE (project_id, idempotency_key),
        CONSTRAINT deployments_status_check CHECK (status IN ('pending', 'completed', 'failed')),
        CONSTRAINT deployments_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE TABLE deployment_assets (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        deployment_id uuid NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        name text NOT NULL,
        sha256 text DEFAULT '' NOT NULL,
        config jsonb DEFAULT '{}'::jsonb NOT NULL,
        CONSTRAINT deployment_assets_pkey PRIMARY KEY (id),
        CONSTRAINT deployment_assets_deployment_id_kind_slug_key UNIQUE (deployment_id, kind, slug),
        CONSTRAINT deployment_assets_kind_check CHECK (kind IN ('openapiv3', 'function', 'package')),
        CONSTRAINT deployment_assets_deployment_id_fkey FOREIGN KEY(deployment_id) REFERENCES deployments (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE tool_definitions (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        deployment_id uuid NOT NULL,
        urn text NOT NULL,
        name text NOT NULL,
        description text,
        definition jsonb DEFAULT '{}'::jsonb NOT NULL,
        CONSTRAINT tool_definitions_pkey PRIMARY KEY (id),
        CONSTRAINT tool_definitions_deployment_id_urn_key UNIQUE (deployment_id, urn),
        CONSTRAINT tool_definitions_deployment_id_fkey FOREIGN KEY(deployment_id) REFERENCES deployments (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE resource_definitions (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        deployment_id uuid NOT NULL,
        urn text NOT NULL,
        name text NOT NULL,
        description text,
        definition jsonb DEFAULT '{}'::jsonb NOT NULL,
        CONSTRAINT resource_definitions_pkey PRIMARY KEY (id),
        CONSTRAINT resource_definitions_deployment_id_urn_key UNIQUE (deployment_id, urn),
        CONSTRAINT resource_definitions_deployment_id_fkey FOREIGN KEY(deployment_id) REFERENCES deployments (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE toolsets (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        organization_id uuid NOT NULL,
        project_id uuid NOT NULL,
        slug text NOT NULL,
        name text NOT NULL,
        description text,
        settings jsonb DEFAULT '{}'::jsonb NOT NULL,
        editing_mode text DEFAULT 'iteration' NOT NULL,
        parent_toolset_id uuid,
        current_release_id uuid,
        created_at timestamptz DEFAULT now() NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        deleted_at timestamptz,
        CONSTRAINT toolsets_pkey PRIMARY KEY (id),
        CONSTRAINT toolsets_editing_mode_check CHECK (editing_mode IN ('iteration', 'staging')),
        CONSTRAINT toolsets_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id),
        CONSTRAINT toolsets_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id),
        CONSTRAINT toolsets_parent_toolset_id_fkey FOREIGN KEY(parent_toolset_id) REFERENCES toolsets (id)
    )
    """,
    """
    CREATE INDEX toolsets_current_release_id_idx ON toolsets (current_release_id)
    """,
    """
    CREATE INDEX toolsets_organization_id_idx ON toolsets (organization_id)
    """,
    """
    CREATE UNIQUE INDEX toolsets_project_id_slug_key ON toolsets (project_id, slug) WHERE deleted_at IS NULL
    """,
    """
    CREATE TABLE toolset_tools (
        toolset_id uuid NOT NULL,
        tool_urn text NOT NULL,
        position integer DEFAULT 0 NOT NULL,
        CONSTRAINT toolset_tools_pkey PRIMARY KEY (toolset_id, tool_urn),
        CONSTRAINT toolset_tools_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE toolset_resources (
        toolset_id uuid NOT NULL,
        resource_urn text NOT NULL,
        position integer DEFAULT 0 NOT NULL,
        CONSTRAINT toolset_resources_pkey PRIMARY KEY (toolset_id, resource_urn),
        CONSTRAINT toolset_resources_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE prompt_templates (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        project_id uuid NOT NULL,
        name text NOT NULL,
        description text,
        prompt text DEFAULT '' NOT NULL,
        engine text DEFAULT 'mustache' NOT NULL,
        kind text DEFAULT 'prompt' NOT NULL,
        arguments jsonb,
        tool_urn text,
        created_at timestamptz DEFAULT now() NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        deleted_at timestamptz,
        CONSTRAINT prompt_templates_pkey PRIMARY KEY (id),
        CONSTRAINT prompt_templates_kind_check CHECK (kind IN ('prompt', 'higher_order_tool')),
        CONSTRAINT prompt_templates_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE INDEX prompt_templates_deleted_idx ON prompt_templates (project_id, name, deleted_at) WHERE deleted_at IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX prompt_templates_project_id_name_key ON prompt_templates (project_id, name) WHERE deleted_at IS NULL
    """,
    """
    CREATE TABLE system_configs (
        project_id uuid NOT NULL,
        key text NOT NULL,
        value jsonb DEFAULT '{}'::jsonb NOT NULL,
        CONSTRAINT system_configs_pkey PRIMARY KEY (project_id, key),
        CONSTRAINT system_configs_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE TABLE variations (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        organization_id uuid NOT NULL,
        toolset_id uuid,
        tool_urn text NOT NULL,
        config jsonb DEFAULT '{}'::jsonb NOT NULL,
        updated_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT variations_pkey PRIMARY KEY (id),
        CONSTRAINT variations_organization_id_toolset_id_tool_urn_key UNIQUE NULLS NOT DISTINCT (organization_id, toolset_id, tool_urn),
        CONSTRAINT variations_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id),
        CONSTRAINT variations_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX variations_toolset_id_idx ON variations (toolset_id)
    """,
    """
    ALTER TABLE projects ADD CONSTRAINT projects_active_deployment_id_fkey
        FOREIGN KEY (active_deployment_id) REFERENCES deployments (id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE projects DROP CONSTRAINT projects_active_deployment_id_fkey")
    op.execute(
        "DROP TABLE variations, system_configs, prompt_templates, toolset_resources, toolset_tools, toolsets, resource_definitions, tool_definitions, deployment_assets, deployments, projects, organizations"
    )
