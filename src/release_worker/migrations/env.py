"""Run by Alembic with the connection that `migrations.upgrade` was given."""

from alembic import context
from sqlalchemy import Connection, text

from release_worker.migrations import VERSION_TABLE
from release_worker.store.tables import metadata


def run(connection: Connection) -> None:
    # A migration that cannot get its locks soon gives up instead of queueing every app behind it.
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transaction_per_migration=True,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.commit()


run(context.config.attributes["connection"])
