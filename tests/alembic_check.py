"""`python -m tests.alembic_check`: do the migrations build the tables that the code believes in?"""

import sys

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine

from release_worker import migrations
from release_worker.embedded import embedded_servers


def main() -> int:
    """0 where they do and there is one newest migration; otherwise 1, with what is wrong on standard error."""
    problems = [*_several_heads(), *_differences()]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _several_heads() -> list[str]:
    heads = script_directory().get_heads()
    return [] if len(heads) == 1 else [f"there must be one newest migration, not {len(heads)}: {', '.join(heads)}"]


def _differences() -> list[str]:
    with embedded_servers() as servers:
        engine = create_engine(servers.database_url, poolclass=NullPool)
        with engine.connect() as connection:
            migrations.upgrade(connection)
        with engine.connect() as connection:
            found = migrations.differences(connection)
    return [f"the database differs from the tables in the code: {difference}" for difference in found]


def script_directory() -> ScriptDirectory:
    """The migrations of the package."""
    config = Config()
    config.set_main_option("script_location", "release_worker:migrations")
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


if __name__ == "__main__":
    sys.exit(main())
