"""`release-worker demo`: run it, and show what it reports."""

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson


def demo(as_json: AsJson = False) -> None:
    """Release a real toolset four times, roll it back, and undo that: some ten seconds, nothing to set up.

    The toolset is GitHub's REST API, about a thousand tools, in three consecutive releases. PostgreSQL, Valkey and a
    worker are started in a temporary directory, and all of it is removed at the end. RELEASE_WORKER_* settings play no
    part: the demo never touches a database of yours.

    Everything that it claims is checked against the database: exit status 1 if any of it is not so.

    Example: release-worker demo
    """
    from release_worker.cli.demo_report import plan_table, print_report
    from release_worker.cli.render import console, print_json
    from release_worker.demo.progress import Progress
    from release_worker.demo.run import run

    progress = Progress(console(stderr=as_json), plan_table)
    report = run(progress)
    if as_json:
        print_json(report.as_json())
    else:
        print_report(progress.console, report)
    if not report.ok:
        raise typer.Exit(FAILED)
