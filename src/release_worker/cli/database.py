"""`db upgrade|check|grants`: the tables in PostgreSQL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson
from release_worker.cli.render import command_line, listed, print_json, say

if TYPE_CHECKING:
    from release_worker.domain.database import Database
    from release_worker.operations.schema import SchemaState, SchemaUpgrade

app = typer.Typer(help="Create, upgrade and check the tables in PostgreSQL.")


@app.command()
def upgrade(
    with_grants: Annotated[
        bool,
        typer.Option("--grants", help="Then also make roles for apps, worker and readers, as `db grants` has them."),
    ] = False,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample", help="Then also load a small toolset to try things on, if there is no organization yet."
        ),
    ] = False,
    beside_another: Annotated[
        bool,
        typer.Option(
            "--beside-another",
            help="Create tables in the schema of RELEASE_WORKER_SCHEMA although another schema of this database has "
            "some: a second deployment.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create the tables, or bring them to this version. Does nothing when they are there already, or are newer.

    Ends with what `db check` finds: exit status 1 if the tables differ from what this version needs.

    Example: release-worker db upgrade
    """
    from release_worker.operations.schema import check_schema, grant_privileges, upgrade_schema
    from release_worker.settings import read_settings

    database = read_settings().database
    done = upgrade_schema(database, beside_another=beside_another)
    if with_grants and not done.newer:
        grant_privileges(database)
    loaded = _sample(database) if sample else None
    state, lacking = check_schema(database), [] if done.newer else _lacking(database)
    if as_json:
        differences = {"differences": state.differences, "groups_that_lack_rights": lacking}
        print_json({"before": done.before, "after": done.after, **differences, "sample": loaded})
    else:
        say(*_told(done), *([] if loaded is None else [f"The toolset {loaded} is there to try things on."]))
        say(*_granting(lacking))
    if not state.ok:
        if not as_json:
            say(*_findings(state, database.schema))
        raise typer.Exit(FAILED)


def _told(done: "SchemaUpgrade") -> list[str]:
    if done.newer:
        return [f"{_newer(done.after)} Nothing was changed."]
    if done.before == done.after:
        return [f"The database is at revision {done.after} already."]
    if done.before is None:
        return [f"The tables are made: revision {done.after}."]
    return [f"The database is upgraded from revision {done.before} to {done.after}."]


def _newer(revision: str) -> str:
    return f"The database is at revision {revision}, which is newer than this version; it goes on."


def _lacking(database: "Database") -> Sequence[str]:
    """The groups of `db grants` that were given less than this version gives them."""
    from release_worker.queries.reading import reading
    from release_worker.queries.rights import groups_that_lack

    with reading(database) as connection:
        return groups_that_lack(connection, schema=database.schema)


def _granting(lacking: Sequence[str]) -> list[str]:
    if not lacking:
        return []
    they = "they need" if len(lacking) > 1 else "it needs"
    return [f"{' and '.join(lacking)} may do less than {they}: run {command_line('db', 'upgrade', '--grants')}"]


def _sample(database: "Database") -> str | None:
    """The path of the toolset, if it was loaded now."""
    from release_worker.demo.sample_toolset import SAMPLE, load_sample_toolset

    return SAMPLE if load_sample_toolset(database) else None


@app.command()
def check(as_json: AsJson = False) -> None:
    """Say whether the database has the tables that this version needs. Exit status 1 if not.

    Tables of a newer version have all that this one needs.

    Example: release-worker db check
    """
    from release_worker.operations.schema import check_schema
    from release_worker.settings import read_settings

    database = read_settings().database
    state = check_schema(database)
    if as_json:
        print_json({**_fields(state), "ok": state.ok})
    else:
        say(*_findings(state, database.schema))
    if not state.ok:
        raise typer.Exit(FAILED)


@app.command()
def grants() -> None:
    """Print SQL that makes roles for the apps, the worker and readers, each with what it needs and no more.

    Example: release-worker db grants | psql "$DATABASE"
    """
    from release_worker.migrations import grants
    from release_worker.settings import read_settings

    typer.echo(grants(read_settings().database_schema), nl=False)


def _fields(state: "SchemaState") -> dict[str, object]:
    return {"revision": state.revision, "needed": state.needed, "differences": state.differences}


def _capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _findings(state: "SchemaState", schema: str) -> list[str]:
    if state.newer and state.revision is not None:
        return [_newer(state.revision)]
    if state.ok:
        return [f"The database is as this version needs it: revision {state.revision}."]
    if state.elsewhere:
        from release_worker.operations.schema import are_elsewhere

        return [_capitalized(f"{are_elsewhere(state.elsewhere, schema)}.")]
    if state.in_the_way is not None:
        return [_capitalized(state.in_the_way)]
    if state.revision is None:
        return [f"The database has no tables of release-worker yet in schema {schema}: {command_line('db', 'upgrade')}"]
    if state.revision != state.needed:
        behind = f"The database is at revision {state.revision}, and this version needs {state.needed}"
        return [f"{behind}: {command_line('db', 'upgrade')}"]
    found = listed(state.differences, 20)
    differs = f"The database is at revision {state.revision}, but differs from it:"
    return [differs, *(f"  {line}" for line in found), *_mending(state.differences)]


def _mending(differences: Sequence[str]) -> list[str]:
    lines = []
    if any(line.endswith("disabled") for line in differences):
        lines.append(
            "Enable what is disabled: ALTER TABLE … ENABLE TRIGGER ALL, as the owner (foreign keys: a superuser)."
        )
    if not all(line.endswith("disabled") for line in differences):
        fresh = f"`{command_line('db', 'upgrade')}` in an empty database, then `pg_dump --schema-only`"
        lines.append(f"Mend the rest by hand. To see how it must be: {fresh}.")
    return lines
