"""A Procrastinate task, kept apart by its lock: `procrastinate -a benchmarks.peers.procrastinate_peer.app worker`."""

import os

from procrastinate import App, PsycopgConnector

from benchmarks.peers.capture import create_release, session_factory

NAME = "peer.create_release"

DATABASE_URL = os.environ["RELEASE_WORKER_DATABASE_URL"]
app = App(connector=PsycopgConnector(conninfo=DATABASE_URL.replace("postgresql+psycopg://", "postgresql://")))
sessions = session_factory(DATABASE_URL)


@app.task(name=NAME)
def create(toolset_id: str) -> None:
    """Capture a toolset; its jobs come one at a time."""
    create_release(sessions, toolset_id, "procrastinate")
