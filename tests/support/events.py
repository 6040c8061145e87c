"""Read the outbox, with SQL of the tests' own."""

from typing import Any

from sqlalchemy import Engine, Row, text


def events(engine: Engine) -> list[Row[Any]]:
    """Every event, in `seq` order."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM release_events ORDER BY seq")))


def events_of_request(engine: Engine, request_id: str) -> list[str]:
    """The types of a request's events, in `seq` order."""
    return [event.type for event in events(engine) if event.data.get("request_id") == request_id]
