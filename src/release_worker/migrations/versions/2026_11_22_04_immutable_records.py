"""Release records cannot be edited or deleted; of a release only `notes` and `labels` may change."""

from alembic import op

revision: str = "0004_immutable_records"
down_revision: str | None = "0003_release_records"

IMMUTABLE = (
    "toolset_versions",
    "source_states",
    "variation_versions",
    "toolset_releases",
    "component_states",
    "release_components",
)

REFUSE = """
CREATE FUNCTION release_worker_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: release records are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""

ONLY_NOTES_AND_LABELS = """
CREATE FUNCTION release_worker_only_notes_and_labels() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    allowed toolset_releases := NEW;
BEGIN
    allowed.notes := OLD.notes;
    allowed.labels := OLD.labels;
    IF allowed IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'of a release only notes and labels may change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.execute(REFUSE)
    op.execute(ONLY_NOTES_AND_LABELS)
    for table in IMMUTABLE:
        operations = "DELETE" if table == "toolset_releases" else "UPDATE OR DELETE"
        op.execute(
            f"CREATE TRIGGER {table}_immutable BEFORE {operations} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION release_worker_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_not_truncated BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION release_worker_refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER toolset_releases_only_notes_and_labels BEFORE UPDATE ON toolset_releases"
        " FOR EACH ROW EXECUTE FUNCTION release_worker_only_notes_and_labels()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER toolset_releases_only_notes_and_labels ON toolset_releases")
    for table in IMMUTABLE:
        op.execute(f"DROP TRIGGER {table}_immutable ON {table}")
        op.execute(f"DROP TRIGGER {table}_not_truncated ON {table}")
    op.execute("DROP FUNCTION release_worker_only_notes_and_labels()")
    op.execute("DROP FUNCTION release_worker_refuse_change()")
