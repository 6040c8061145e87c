"""Whose SQL it was that PostgreSQL could not run: a plug-in's own mistakes end its request and name the component.

What is missing from our own tables is another matter: an operator is about to upgrade the database, and tries go on.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, exc

from release_worker.domain.digests import BUILT_IN
from release_worker.errors import ComponentFailed, ReleaseWorkerError
from release_worker.state.component import Component, Parameters
from release_worker.state.registry import Registry
from release_worker.store.conflicts import first_line, translate
from release_worker.store.engine import single_statement
from release_worker.store.owners.naming import find_toolset
from release_worker.store.statements import parsed


@contextmanager
def working_for(component: Component) -> Iterator[None]:
    """Around a call or a statement of one component. Raises ComponentFailed if a plug-in's SQL is broken."""
    try:
        yield
    except exc.StatementError as error:
        if component.name in BUILT_IN or not _is_broken(error):
            raise
        raise ComponentFailed(component=component.name, reason=_reason(error)) from error


@contextmanager
def blaming(engine: Engine, registry: Registry, toolset: str) -> Iterator[None]:
    """Around an operation on a toolset, an id or a path. Raises ComponentFailed if it broke on a plug-in's SQL."""
    try:
        yield
    except (exc.StatementError, ReleaseWorkerError) as error:
        found = blamed(engine, error, registry, toolset)
        if found is None:
            raise
        raise found from error


def blamed(engine: Engine, error: Exception, registry: Registry, toolset: str) -> ComponentFailed | None:
    """The plug-in whose `capture` broke a statement that was made of all components'; None if it was no such error, or
    none of theirs. They are tried by themselves, on a connection of its own."""
    refusal = error.__cause__ if isinstance(error, ReleaseWorkerError) else error
    if isinstance(error, ComponentFailed) or not isinstance(refusal, exc.StatementError) or not _is_broken(refusal):
        return None
    try:
        with single_statement(engine) as connection:
            parameters = find_toolset(connection, toolset).parameters
            for component in (*_built_in(registry), *registry.plug_ins):
                if (reason := _refused(connection, component, parameters, like=refusal)) is not None:
                    ours = component.name in BUILT_IN
                    return None if ours else ComponentFailed(component=component.name, reason=reason)
    except (ReleaseWorkerError, exc.StatementError):  # it is worse than a broken component
        pass
    return None


def _built_in(registry: Registry) -> list[Component]:
    return [component for component in registry if component.name in BUILT_IN]


def _refused(
    connection: Connection, component: Component, parameters: Parameters, *, like: exc.StatementError
) -> str | None:
    """Why the component's content cannot be captured, if that is what `like` says too. Built-in SQL is only planned: it
    breaks on what is missing, and not on data."""
    begin = "EXPLAIN SELECT" if component.name in BUILT_IN else "SELECT"
    try:
        connection.execute(parsed(f"{begin} ours.release_worker_digest({component.capture()})"), parameters)
    except exc.StatementError as error:
        return _reason(error) if _is_broken(error) and _told_alike(error, like) else None
    return None


def _told_alike(one: exc.StatementError, other: exc.StatementError) -> bool:
    """Two refusals of data are alike even if they name different rows: which row is met first may differ."""
    alike = _state(one) == _state(other)
    return alike and (_state(one)[:2] != "42" or _reason(one) == _reason(other))


def _is_broken(error: exc.StatementError) -> bool:
    """Trying again changes nothing: it names what is not there or not allowed, or does not fit the data."""
    if not isinstance(error, exc.DBAPIError):  # it never got as far as PostgreSQL
        return True
    return translate(error) is None or (_state(error)[:2] == "42" and _state(error) != "42P05")


def _state(error: exc.StatementError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _reason(error: exc.StatementError) -> str:
    return first_line(error) if isinstance(error, exc.DBAPIError) else str(error.orig or error)
