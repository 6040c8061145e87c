"""Bundles that are to be imported: kept beside the ledger, for they do not fit into a request."""

from alembic import op

revision: str = "0015_bundles"
down_revision: str | None = "0014_staged_copies"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE release_bundles (
            digest text NOT NULL,
            document jsonb NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT release_bundles_pkey PRIMARY KEY (digest))
    """)


def downgrade() -> None:
    op.execute("DROP TABLE release_bundles")
