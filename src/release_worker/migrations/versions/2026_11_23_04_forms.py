"""In which form each stored part was written, so that newer software can read it as it was meant."""

from alembic import op

revision: str = "0012_forms"
down_revision: str | None = "0011_ledger_door"

TABLES = ("toolset_versions", "source_states", "variation_versions", "component_states")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN form smallint DEFAULT 1 NOT NULL")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN form")
