"""`db upgrade|check|grants`: the tables in PostgreSQL."""

from typing import TYPE_CHECKING

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson
from release_worker.cli.render import command_line, listed, print_json, say

if TYPE_CHECKING:
    from release_worker.operations.schema import SchemaState

app = typer.Typer(help="Create, upgrade and check the tables in PostgreSQL.")


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Create the tables, or bring them to this version. Does nothing when they are there already."""
    from release_worker.operations.schema import upgrade_schema
    from release_worker.settings import read_settings

    done = upgrade_schema(read_settings().require("database_url"))
    if as_json:
        print_json(done)
    elif done.before == done.after:
        say(f"The database is at revision {done.after} already.")
    elif done.before is None:
        say(f"The tables are made: revision {done.after}.")
    else:
        say(f"The database is upgraded from revision {done.before} to {done.after}.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Say whether the database has the tables that this version needs. Exit status 1 if not."""
    from release_worker.operations.schema import check_schema
    from release_worker.settings import read_settings

    state = check_schema(read_settings().require("database_url"))
    if as_json:
        print_json({**_fields(state), "ok": state.ok})
    else:
        say(*_findings(state))
    if not state.ok:
        raise typer.Exit(FAILED)


@app.command()
def grants() -> None:
    """Print SQL that makes roles for the apps, the worker and readers, each with what it needs and no more."""
    from release_worker.migrations import grants

    typer.echo(grants(), nl=False)


def _fields(state: "SchemaState") -> dict[str, object]:
    return {"revision": state.revision, "needed": state.needed, "differences": state.differences}


def _findings(state: "SchemaState") -> list[str]:
    if state.ok:
        return [f"The database is as this version needs it: revision {state.revision}."]
    if state.revision is None:
        return [f"The database has no tables of release-worker yet: {command_line('db', 'upgrade')}"]
    if state.revision != state.needed:
        behind = f"The database is at revision {state.revision}, and this version needs {state.needed}"
        return [f"{behind}: {command_line('db', 'upgrade')}"]
    found = listed(state.differences, 20)
    return [f"The database is at revision {state.revision}, but differs from it:", *(f"  {line}" for line in found)]
