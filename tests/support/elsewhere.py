"""`pytest -o "release_worker_schema=Rel eases"`: the tests as they are, with all that is ours in a schema of that name.

SQL of the tests themselves names nothing: their connections search that schema. A statement of the product does not get
to search it: if it names anything of ours without the schema, it fails.
"""

import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, ExceptionContext, event

from release_worker import migrations
from release_worker.client.asking import Asking
from release_worker.domain.database import PUBLIC, Database, in_sql
from release_worker.settings import PREFIX, Settings
from release_worker.testing import exercise_component

SCHEMA = PUBLIC  # until `establish` says another: before any test is imported
SETTINGS: dict[str, str] = {}
# Of apps and components: what tests make without saying where is made here.
THEIRS = PUBLIC

_DEFAULTS: tuple[Callable[..., Any], ...] = (
    Database.__init__,
    Asking.__init__,
    exercise_component,
    migrations.upgrade,
    migrations.downgrade,
    migrations.current_revision,
    migrations.differences,
    migrations.grants,
)
_NARROWED = "release_worker_tests_narrowed"


def establish(schema: str) -> None:
    """Let this be the schema that is meant where nothing else is said, in this process and those that it starts."""
    global SCHEMA, THEIRS
    if schema == PUBLIC:
        return
    SCHEMA, THEIRS = schema, "theirs"
    SETTINGS["schema"] = schema
    for function in _DEFAULTS:
        _replace_default(function)
    every: tuple[type[Settings], ...] = (Settings, *Settings.__subclasses__())
    for settings in every:  # those that are given have their own fields
        settings.model_fields["database_schema"].default = SCHEMA
        settings.model_rebuild(force=True)
    escaped = in_sql(SCHEMA).replace(" ", "\\ ")
    os.environ.update({f"{PREFIX}SCHEMA": SCHEMA}, PGOPTIONS=f"-c search_path={THEIRS},{escaped}")
    event.listen(Engine, "before_cursor_execute", _narrow)
    event.listen(Engine, "after_cursor_execute", _widen)
    event.listen(Engine, "handle_error", _widen_after_failure)


def prepare(url: str) -> None:
    """Make the place for what tests make, in the database of which others are clones."""
    if SETTINGS:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute(f"CREATE SCHEMA {THEIRS}")


def skip_elsewhere(reason: str) -> pytest.MarkDecorator:
    """For a test of what is otherwise in such a run."""
    return pytest.mark.skipif(SCHEMA != PUBLIC, reason=reason)


def skip_here(reason: str) -> None:
    """Skip the test that runs, if this is such a run."""
    if SCHEMA != PUBLIC:
        pytest.skip(reason)


def _replace_default(function: Any) -> None:
    if function.__defaults__:
        function.__defaults__ = tuple(SCHEMA if value == PUBLIC else value for value in function.__defaults__)
    for name, value in (function.__kwdefaults__ or {}).items():
        if value == PUBLIC:
            function.__kwdefaults__[name] = SCHEMA


def _narrow(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    """This comes first, when `ours.` is not replaced yet. After an error, PostgreSQL takes no statement anyway; and
    what is widened after a BEGIN would be narrow again after its rollback."""
    driver: psycopg.Connection[Any] = connection.connection.dbapi_connection
    begins = statement.startswith("BEGIN")
    if "ours." in statement and not begins and driver.info.transaction_status is not TransactionStatus.INERROR:
        driver.execute(f"SET search_path = {THEIRS}")
        setattr(context, _NARROWED, driver)


def _widen(_connection: Any, _cursor: Any, _statement: Any, _parameters: Any, context: Any, _many: bool) -> None:
    if driver := getattr(context, _NARROWED, None):
        driver.execute("RESET search_path")


def _widen_after_failure(failure: ExceptionContext) -> None:
    """A transaction that is rolled back takes the search path back with it."""
    driver = getattr(failure.execution_context, _NARROWED, None)
    if driver is not None and not driver.closed and driver.info.transaction_status is TransactionStatus.IDLE:
        driver.execute("RESET search_path")
