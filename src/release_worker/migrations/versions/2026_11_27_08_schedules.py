"""Schedules: what is asked for by the clock."""

from alembic import op

revision: str = "0019_schedules"
down_revision: str | None = "0018_measurements"

READABLE = "BETWEEN '1970-01-01 00:00:00+00' AND '8999-12-31 00:00:00+00'"
TABLE = f"""
CREATE TABLE release_schedules (
    id uuid DEFAULT release_worker_uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    project_id uuid,
    toolset_id uuid,
    name text NOT NULL,
    kind text DEFAULT 'create_release' NOT NULL,
    arguments jsonb DEFAULT '{{}}'::jsonb NOT NULL,
    cron text,
    fire_at timestamptz,
    timezone text DEFAULT 'UTC' NOT NULL,
    misfire text DEFAULT 'once' NOT NULL,
    catch_up_seconds integer DEFAULT 3600 NOT NULL,
    overlap text DEFAULT 'skip' NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    next_fire_at timestamptz,
    last_fire_at timestamptz,
    held_fire_at timestamptz,
    held_until timestamptz,
    suspended_reason text,
    created_by text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT release_schedules_pkey PRIMARY KEY (id),
    CONSTRAINT release_schedules_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT release_schedules_organization_id_name_key UNIQUE (organization_id, name),
    CONSTRAINT release_schedules_misfire_check CHECK (misfire IN ('skip', 'once', 'all')),
    CONSTRAINT release_schedules_overlap_check CHECK (overlap IN ('skip', 'queue')),
    CONSTRAINT release_schedules_name_check CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}$'),
    CONSTRAINT release_schedules_kind_check CHECK (kind ~ '^[a-z][a-z0-9_]{{0,62}}$'),
    CONSTRAINT release_schedules_arguments_check CHECK (
        jsonb_typeof(arguments) = 'object' AND octet_length(arguments::text) <= 100000
        AND NOT jsonb_path_exists(arguments, 'strict $.**{{251}}')),
    CONSTRAINT release_schedules_one_time_check CHECK ((cron IS NULL) <> (fire_at IS NULL)),
    CONSTRAINT release_schedules_one_scope_check CHECK (project_id IS NULL OR toolset_id IS NULL),
    CONSTRAINT release_schedules_cron_check CHECK (char_length(cron) BETWEEN 1 AND 200),
    CONSTRAINT release_schedules_timezone_check CHECK (char_length(timezone) BETWEEN 1 AND 100),
    CONSTRAINT release_schedules_catch_up_seconds_check CHECK (catch_up_seconds BETWEEN 0 AND 2592000),
    CONSTRAINT release_schedules_created_by_check CHECK (char_length(created_by) BETWEEN 1 AND 200),
    CONSTRAINT release_schedules_times_check CHECK (
        fire_at {READABLE} AND next_fire_at {READABLE} AND last_fire_at {READABLE}
        AND held_fire_at {READABLE} AND held_until {READABLE}
        AND created_at {READABLE})
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(
        "CREATE INDEX release_schedules_due_idx ON release_schedules (next_fire_at)"
        " WHERE enabled AND suspended_reason IS NULL"
    )


def downgrade() -> None:
    op.execute("DROP TABLE release_schedules")
