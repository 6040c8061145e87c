"""Release records and the ledger of requests: what the worker writes."""

from alembic import op

revision: str = "0003_release_records"
down_revision: str | None = "0002_live_state"

STATEMENTS = (
    """
    CREATE TABLE toolset_versions (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        toolset_id uuid NOT NULL,
        version bigint NOT NULL,
        tool_urns text[] NOT NULL,
        tool_positions integer[],
        resource_urns text[] NOT NULL,
        resource_positions integer[],
        name text NOT NULL,
        description text,
        settings jsonb DEFAULT '{}'::jsonb NOT NULL,
        digest text NOT NULL,
        predecessor_id uuid,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT toolset_versions_pkey PRIMARY KEY (id),
        CONSTRAINT toolset_versions_toolset_id_version_key UNIQUE (toolset_id, version),
        CONSTRAINT toolset_versions_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id),
        CONSTRAINT toolset_versions_predecessor_id_fkey FOREIGN KEY(predecessor_id) REFERENCES toolset_versions (id)
    )
    """,
    """
    CREATE TABLE source_states (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        project_id uuid NOT NULL,
        deployment_id uuid,
        deployment_snapshot jsonb NOT NULL,
        system_snapshot jsonb NOT NULL,
        digest text NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT source_states_pkey PRIMARY KEY (id),
        CONSTRAINT source_states_project_id_digest_key UNIQUE (project_id, digest),
        CONSTRAINT source_states_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE TABLE variation_versions (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        scope text NOT NULL,
        organization_id uuid NOT NULL,
        toolset_id uuid,
        version bigint NOT NULL,
        config jsonb DEFAULT '{}'::jsonb NOT NULL,
        digest text NOT NULL,
        predecessor_id uuid,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT variation_versions_pkey PRIMARY KEY (id),
        CONSTRAINT variation_versions_organization_id_toolset_id_version_key UNIQUE NULLS NOT DISTINCT (organization_id, toolset_id, version),
        CONSTRAINT variation_versions_scope_check CHECK (scope IN ('global', 'toolset')),
        CONSTRAINT variation_versions_scope_names_toolset_check CHECK ((scope = 'toolset') = (toolset_id IS NOT NULL)),
        CONSTRAINT variation_versions_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organizations (id),
        CONSTRAINT variation_versions_predecessor_id_fkey FOREIGN KEY(predecessor_id) REFERENCES variation_versions (id)
    )
    """,
    """
    CREATE TABLE toolset_releases (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        toolset_id uuid NOT NULL,
        release_number bigint NOT NULL,
        kind text DEFAULT 'release' NOT NULL,
        toolset_version_id uuid NOT NULL,
        source_state_id uuid,
        global_variations_version_id uuid,
        toolset_variations_version_id uuid,
        digest text NOT NULL,
        predecessor_id uuid,
        notes text,
        labels jsonb DEFAULT '{}'::jsonb NOT NULL,
        released_by text NOT NULL,
        request_id text,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT toolset_releases_pkey PRIMARY KEY (id),
        CONSTRAINT toolset_releases_toolset_id_release_number_key UNIQUE (toolset_id, release_number),
        CONSTRAINT toolset_releases_release_number_check CHECK (release_number > 0),
        CONSTRAINT toolset_releases_kind_check CHECK (kind IN ('release', 'backup', 'restored')),
        CONSTRAINT toolset_releases_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id),
        CONSTRAINT toolset_releases_toolset_version_id_fkey FOREIGN KEY(toolset_version_id) REFERENCES toolset_versions (id),
        CONSTRAINT toolset_releases_source_state_id_fkey FOREIGN KEY(source_state_id) REFERENCES source_states (id),
        CONSTRAINT toolset_releases_global_variations_version_id_fkey FOREIGN KEY(global_variations_version_id) REFERENCES variation_versions (id),
        CONSTRAINT toolset_releases_toolset_variations_version_id_fkey FOREIGN KEY(toolset_variations_version_id) REFERENCES variation_versions (id),
        CONSTRAINT toolset_releases_predecessor_id_fkey FOREIGN KEY(predecessor_id) REFERENCES toolset_releases (id)
    )
    """,
    """
    CREATE TABLE component_states (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        component text NOT NULL,
        scope_id uuid NOT NULL,
        content jsonb DEFAULT '{}'::jsonb NOT NULL,
        digest text NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT component_states_pkey PRIMARY KEY (id),
        CONSTRAINT component_states_component_scope_id_digest_key UNIQUE (component, scope_id, digest)
    )
    """,
    """
    CREATE TABLE release_components (
        release_id uuid NOT NULL,
        component text NOT NULL,
        component_state_id uuid NOT NULL,
        CONSTRAINT release_components_pkey PRIMARY KEY (release_id, component),
        CONSTRAINT release_components_release_id_fkey FOREIGN KEY(release_id) REFERENCES toolset_releases (id),
        CONSTRAINT release_components_component_state_id_fkey FOREIGN KEY(component_state_id) REFERENCES component_states (id)
    )
    """,
    """
    CREATE TABLE toolset_rollbacks (
        id uuid DEFAULT release_worker_uuid7() NOT NULL,
        toolset_id uuid NOT NULL,
        from_release_id uuid,
        to_release_id uuid NOT NULL,
        backup_release_id uuid,
        components text[] NOT NULL,
        changes jsonb DEFAULT '{}'::jsonb NOT NULL,
        reason text,
        rolled_back_by text NOT NULL,
        request_id text,
        created_at timestamptz DEFAULT now() NOT NULL,
        CONSTRAINT toolset_rollbacks_pkey PRIMARY KEY (id),
        CONSTRAINT toolset_rollbacks_toolset_id_fkey FOREIGN KEY(toolset_id) REFERENCES toolsets (id)
    )
    """,
    """
    CREATE INDEX toolset_rollbacks_toolset_id_created_at_idx ON toolset_rollbacks (toolset_id, created_at)
    """,
    """
    CREATE TABLE release_requests (
        id text NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL,
        toolset_id uuid,
        idempotency_key text,
        payload jsonb DEFAULT '{}'::jsonb NOT NULL,
        status text DEFAULT 'queued' NOT NULL,
        attempts integer DEFAULT 0 NOT NULL,
        next_attempt_at timestamptz,
        worker text,
        lease_until timestamptz,
        result jsonb,
        error jsonb,
        requested_by text NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        started_at timestamptz,
        finished_at timestamptz,
        CONSTRAINT release_requests_pkey PRIMARY KEY (id),
        CONSTRAINT release_requests_toolset_id_idempotency_key_key UNIQUE (toolset_id, idempotency_key),
        CONSTRAINT release_requests_status_check CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
        CONSTRAINT release_requests_seq_key UNIQUE (seq)
    )
    """,
    """
    CREATE INDEX release_requests_mailbox_idx ON release_requests (toolset_id, seq) WHERE status IN ('queued', 'running')
    """,
    """
    ALTER TABLE toolsets ADD CONSTRAINT toolsets_current_release_id_fkey
        FOREIGN KEY (current_release_id) REFERENCES toolset_releases (id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE toolsets DROP CONSTRAINT toolsets_current_release_id_fkey")
    op.execute(
        "DROP TABLE release_requests, toolset_rollbacks, release_components, component_states, toolset_releases, variation_versions, source_states, toolset_versions"
    )
