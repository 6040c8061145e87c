"""What PostgreSQL is told about a test's database."""

from sqlalchemy import Engine, text


def without_indexes(engine: Engine) -> None:
    """From now on, PostgreSQL reads tables of this database as they lie, so that no index lends a query its order."""
    with engine.begin() as connection:
        for method in ("indexscan", "indexonlyscan", "bitmapscan"):
            name = connection.execute(text("SELECT quote_ident(current_database())")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET enable_{method} = off"))
    engine.dispose()  # the setting is that of new sessions
