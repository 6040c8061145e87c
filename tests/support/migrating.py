"""What an app does to live tables while it migrates them, and what PostgreSQL shows as empty to an older snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from sqlalchemy import Engine

MIGRATIONS = {
    "a list": "ALTER TABLE toolset_tools ALTER COLUMN position TYPE bigint",
    "a list that is filled anew": """
        CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE toolset_tools;
        TRUNCATE toolset_tools;
        INSERT INTO toolset_tools TABLE kept
    """,
    "definitions": "ALTER TABLE tool_definitions ADD COLUMN seen double precision DEFAULT random()",
    "variations": "ALTER TABLE variations ADD COLUMN seen double precision DEFAULT random()",
    "prompts": "ALTER TABLE prompt_templates ADD COLUMN seen double precision DEFAULT random()",
    "configuration": "ALTER TABLE system_configs ADD COLUMN seen double precision DEFAULT random()",
}


@contextmanager
def migrating(engine: Engine, statements: str) -> Iterator[None]:
    """The app has begun, and commits a quarter of a second later, sooner than who waits for the table gives up."""
    with engine.connect() as connection:
        connection.begin()
        connection.exec_driver_sql(statements)
        end = Timer(0.25, connection.commit)
        end.start()
        try:
            yield
        finally:
            end.join()
