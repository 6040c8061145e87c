"""`python -m tests.alembic_check`: do the migrations build the tables that the code believes in?"""

import sys

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine

from release_worker import migrations
from release_worker.embedded import embedded_servers


def main() -> int:
    """0 where they do and there is one newest migration; otherwise 1, with what is wrong on standard error."""
    with embedded_servers() as servers, create_engine(servers.database_url, poolclass=NullPool).connect() as connection:
        migrations.upgrade(connection)
        found = problems(connection)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


def problems(connection: Connection) -> list[str]:
    """What is wrong with the migrations that built a database."""
    heads = script_directory().get_heads()
    several = [] if len(heads) == 1 else [f"there must be one newest migration, not {len(heads)}: {', '.join(heads)}"]
    differences = migrations.differences(connection)
    return several + [f"the database differs from the tables in the code: {difference}" for difference in differences]


def script_directory() -> ScriptDirectory:
    """The migrations of the package."""
    config = Config()
    config.set_main_option("script_location", "release_worker:migrations")
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


if __name__ == "__main__":
    sys.exit(main())
