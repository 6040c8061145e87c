"""Which deployment was active at each release: equal content may have been deployed more than once."""

from alembic import op

revision: str = "0007_release_deployment"
down_revision: str | None = "0006_retention"


def upgrade() -> None:
    op.execute("ALTER TABLE toolset_releases ADD COLUMN deployment_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE toolset_releases DROP COLUMN deployment_id")
