"""`release-worker`: the commands, and what becomes of their errors.

Nothing heavy is imported here: each command imports what it works with, so that help and completion are quick.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from release_worker.cli import (
    bundles,
    comparing,
    database,
    events,
    freezing,
    organizations,
    overview,
    projects,
    releases,
    requests,
    retention,
    rollbacks,
    scheduling,
    showing,
    staging,
    timeline,
    toolsets,
    verifying,
)
from release_worker.cli.demo import demo
from release_worker.cli.dev import dev
from release_worker.cli.doctor import doctor
from release_worker.cli.failures import DONE, FAILED, report, report_defect, report_usage
from release_worker.cli.healthcheck import healthcheck
from release_worker.cli.log import log
from release_worker.cli.metrics import metrics
from release_worker.errors import ReleaseWorkerError

ABOUT = """Release a toolset, and roll it back to any release, exactly.

A toolset is named organization/project/toolset, or by its UUID. To look around, `release-worker demo` shows it all in
seconds, and `release-worker dev` runs everything that the other commands need on this machine; neither needs a server.

Elsewhere the commands find their servers in RELEASE_WORKER_DATABASE_URL (PostgreSQL), RELEASE_WORKER_BROKER_URL (Redis
or Valkey) and, for a client without a database, RELEASE_WORKER_RESULT_BACKEND.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 something differs, 4 accepted and kept, but not known to have ended: do
not ask again. Errors go to standard error, as JSON with --json.
"""

app = typer.Typer(
    name="release-worker",
    help=ABOUT,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("release-worker"))
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Only what all commands share."""


app.command(short_help="Watch it all happen to a real toolset; takes seconds.")(demo)
app.command()(dev)
app.command()(releases.release)
app.command("list", short_help="List releases and rollbacks, newest first.")(timeline.list_releases)
app.command("show", short_help="Show everything about one release.")(showing.show_release)
app.command()(rollbacks.rollback)
app.command()(rollbacks.repair)
app.command(short_help="Show what differs between two releases, or one and live state.")(comparing.diff)
app.command(short_help="Show what has changed since the current release.")(comparing.drift)
app.command(short_help="Show how a toolset is, on one screen.")(overview.status)
app.command(short_help="List toolsets with their releases and drift.")(overview.toolsets)
app.command(short_help="Show every operation, with what failed.")(log)
app.command(short_help="Recompute every digest of a history.")(verifying.verify)
app.command()(retention.prune)
app.command()(retention.pin)
app.command()(retention.unpin)
app.command()(retention.mark)
app.command("export")(bundles.export_release)
app.command("import")(bundles.import_release)
app.command()(staging.mode)
app.command(short_help="Say what is wrong with a deployment, and what to do.")(doctor)
app.add_typer(organizations.app, name="organization")
app.add_typer(projects.app, name="project")
app.add_typer(toolsets.app, name="toolset")
app.add_typer(staging.app, name="staging")
app.add_typer(scheduling.app, name="schedule")
app.add_typer(freezing.app, name="freeze")
app.add_typer(requests.app, name="requests")
app.command(short_help="Say in one line whether this host's worker can work and does.")(healthcheck)
app.command(short_help="Print what Prometheus is shown, or serve it on a port.")(metrics)
app.add_typer(events.app, name="events")
app.add_typer(database.app, name="db")


def main() -> None:
    """The entry point `release-worker`."""
    sys.excepthook = report_defect
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets question marks, not a traceback
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit status. What was printed is all that it leaves."""
    as_json = "--json" in arguments
    command = typer.main.get_command(app)
    try:
        status = command.main(args=[*arguments] or ["--help"], prog_name="release-worker", standalone_mode=False)
    except ReleaseWorkerError as error:
        return report(error, as_json=as_json)
    except typer.TyperException as error:
        return report_usage(error, as_json=as_json)
    except typer.Abort:
        return FAILED
    return status if isinstance(status, int) else DONE
