"""At most one living staged copy of a toolset: a toolset that names a parent of its own project and organization."""

from alembic import op

revision: str = "0014_staged_copies"
down_revision: str | None = "0013_marks"


def upgrade() -> None:
    op.execute(
        "CREATE UNIQUE INDEX toolsets_staged_copy_key ON toolsets (parent_toolset_id, project_id, organization_id) "
        "WHERE deleted_at IS NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX toolsets_staged_copy_key")
