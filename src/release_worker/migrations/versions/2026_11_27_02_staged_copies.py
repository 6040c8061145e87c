"""At most one living staged copy of a toolset: a toolset that names a parent of its own project and organization."""

from alembic import op

from release_worker.errors import NotConfigured

revision: str = "0014_staged_copies"
down_revision: str | None = "0013_marks"


_SEVERAL = """
    SELECT parent_toolset_id FROM toolsets WHERE deleted_at IS NULL AND parent_toolset_id IS NOT NULL
    GROUP BY parent_toolset_id, project_id, organization_id HAVING count(*) > 1 ORDER BY 1 LIMIT 1
"""


def upgrade() -> None:
    parent = op.get_bind().exec_driver_sql(_SEVERAL).scalar()
    if parent is not None:
        message = (
            f"several living toolsets of one project have parent_toolset_id {parent}, and a toolset has one staged copy "
            "at most: delete all but one of them, or set their parent_toolset_id to NULL, and upgrade again"
        )
        raise NotConfigured(message, setting="RELEASE_WORKER_DATABASE_URL")
    op.execute(
        "CREATE UNIQUE INDEX toolsets_staged_copy_key ON toolsets (parent_toolset_id, project_id, organization_id) "
        "WHERE deleted_at IS NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX toolsets_staged_copy_key")
