"""`metrics`: what Prometheus is shown, as text or on a port."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.options import AsJson
from release_worker.cli.render import print_json, say
from release_worker.errors import ReleaseWorkerError

if TYPE_CHECKING:
    from release_worker.domain.database import Database

Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port for --serve; 0 for any that is free.")]


def metrics(
    openmetrics: Annotated[bool, typer.Option("--openmetrics", help="Print the format of OpenMetrics.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve them on a port until Ctrl-C.")] = False,
    port: Port = 9809,
    address: Annotated[str, typer.Option(help="The address for --serve.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Print the metrics of the database in the format of Prometheus, or serve them.

    To read them takes the rights of a reader (`db grants`). If the database does not answer, `release_worker_up 0` is
    printed, and the exit status is 1.

    Example: release-worker metrics --serve --port 9809
    """
    from release_worker.metrics.exposition import as_json as samples
    from release_worker.metrics.exposition import as_text
    from release_worker.metrics.figures import nothing, read_figures
    from release_worker.metrics.serving import metrics_engine
    from release_worker.settings import read_settings

    settings = read_settings()
    database = settings.database
    if serve:
        _serve(database, address=address, port=port, prepared_statements=settings.prepared_statements)
        return
    engine = metrics_engine(database, prepared_statements=settings.prepared_statements)
    failure: ReleaseWorkerError | None = None
    try:
        figures = read_figures(engine)
    except ReleaseWorkerError as error:
        figures, failure = nothing(), error
    finally:
        engine.dispose()
    if as_json:
        print_json(samples(figures))
    else:
        typer.echo(as_text(figures, openmetrics=openmetrics), nl=False)
    if failure is not None:
        raise failure


def _serve(database: "Database", *, address: str, port: int, prepared_statements: bool) -> None:
    from release_worker.metrics.serving import MetricsServer

    try:
        server = MetricsServer(database, address=address, port=port, prepared_statements=prepared_statements)
    except OSError as error:
        raise typer.BadParameter(f"{address}:{port} cannot be had: {error}", param_hint="--port") from None
    say(f"http://{address}:{server.port}/metrics")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the first process of a container has no other
    try:
        server.wait()
    except KeyboardInterrupt:
        server.close()
