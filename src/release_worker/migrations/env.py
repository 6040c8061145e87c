"""Run by Alembic with the connection and the schema that `migrations.upgrade` was given."""

from alembic import context
from sqlalchemy import Connection, event

from release_worker.domain.database import in_sql
from release_worker.migrations import VERSION_TABLE
from release_worker.store.tables import metadata

# Of each transaction, so that nothing is left in the session. A migration that cannot get its locks soon gives up
# instead of queueing every app behind it.
_BOUNDS = "SET LOCAL search_path = {schema}; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10min'"


def run(connection: Connection, schema: str) -> None:
    bounds = _BOUNDS.format(schema=in_sql(schema))

    def bind(begun: Connection) -> None:
        begun.exec_driver_sql(bounds)

    connection.rollback()
    event.listen(connection, "begin", bind)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema,
        transaction_per_migration=True,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        event.remove(connection, "begin", bind)
        connection.rollback()


run(context.config.attributes["connection"], context.config.attributes["schema"])
