"""Retention's guarded path through the immutable records, and the indexes that its references need."""

from alembic import op

revision: str = "0006_retention"
down_revision: str | None = "0005_publishing"

REFERENCES = (
    ("toolset_releases", "toolset_version_id"),
    ("toolset_releases", "source_state_id"),
    ("toolset_releases", "global_variations_version_id"),
    ("toolset_releases", "toolset_variations_version_id"),
    ("toolset_releases", "predecessor_id"),
    ("toolset_versions", "predecessor_id"),
    ("variation_versions", "predecessor_id"),
    ("release_components", "component_state_id"),
)

# A transaction that prunes says so with SET LOCAL. It may delete, and mend the chain of predecessors, and nothing else.
GUARDED = """
CREATE OR REPLACE FUNCTION release_worker_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('release_worker.pruning', true) = 'on' THEN
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        ELSIF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'predecessor_id' = to_jsonb(OLD) - 'predecessor_id' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: release records are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""

UNGUARDED = """
CREATE OR REPLACE FUNCTION release_worker_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: release records are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""

RELEASES = """
CREATE OR REPLACE FUNCTION release_worker_only_notes_and_labels() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    allowed toolset_releases := NEW;
BEGIN
    allowed.notes := OLD.notes;
    allowed.labels := OLD.labels;
    {guarded}
    IF allowed IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'of a release only notes and labels may change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""

MAY_MEND = """
    IF current_setting('release_worker.pruning', true) = 'on' THEN
        allowed.predecessor_id := OLD.predecessor_id;
    END IF;
"""


def upgrade() -> None:
    op.execute(GUARDED)
    op.execute(RELEASES.format(guarded=MAY_MEND))
    for table, column in REFERENCES:
        op.execute(f"CREATE INDEX {table}_{column}_idx ON {table} ({column})")


def downgrade() -> None:
    for table, column in REFERENCES:
        op.execute(f"DROP INDEX {table}_{column}_idx")
    op.execute(RELEASES.format(guarded=""))
    op.execute(UNGUARDED)
