"""Whether `restore` makes live state equal to its target, and touches nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import permutations

from sqlalchemy import Connection, Engine

from release_worker.state.component import Component
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT
from release_worker.store.statements import parsed
from release_worker.testing.estate import Estate, Owner
from release_worker.testing.observing import (
    AFTER,
    Content,
    read_difference,
    read_digest,
    read_rows,
    require,
    trying,
)


def check_restores(engine: Engine, component: Component, estate: Estate, contents: Sequence[Content]) -> None:
    """Restore each content over each other one, and each into rows of another organization."""
    for before, target in permutations(contents, 2):
        with _undone(engine) as connection:
            if before is not contents[-1]:
                restore(connection, component, estate.ours, before)
            _check_restore(connection, component, estate, before, target)
        _check_nothing_committed(engine, component, estate, contents[-1])
    for target in contents:
        with _undone(engine) as connection:
            restore(connection, component, estate.stranger, target)
            same = read_digest(connection, component, estate.stranger) == target.digest
            require(
                same, component, f"{target.label}, restored for another owner, is not the same: it holds ids or times"
            )
            unmoved = read_digest(connection, component, estate.ours) == contents[-1].digest
            require(unmoved, component, f"restoring {target.label} for another owner changed the first one's state")


def restore(
    connection: Connection, component: Component, owner: Owner, target: Content, *, deployment: object = None
) -> None:
    """Call `restore` as a rollback does. Raises AssertionError if it ends the transaction."""
    parameters = {
        **owner.parameters,
        "content_after": target.text,
        "original_deployment_id": deployment or target.deployment,
    }
    before = _transaction(connection)
    with trying(component, f"restore of {target.label}"):
        component.restore(connection, AFTER, parameters)
        after = _transaction(connection)
    require(before == after, component, f"restore of {target.label} ended the transaction: it must never commit")


def _check_restore(
    connection: Connection, component: Component, estate: Estate, before: Content, target: Content
) -> None:
    ours, label = estate.ours, f"from {before.label} to {target.label}"
    changes = before.difference(target)
    require(
        read_difference(connection, component, ours, None, target) == changes,
        component,
        f"diff of live content differs from that of the captured contents, {label}",
    )
    others = _state(connection, component, estate.neighbour)
    rows = read_rows(connection, component, ours)

    restore(connection, component, ours, target)
    left = read_difference(connection, component, ours, None, target)
    require(not left, component, f"restore {label} left differences in {', '.join(left)}")
    require(read_digest(connection, component, ours) == target.digest, component, f"restore {label} left other content")
    require(
        _state(connection, component, estate.neighbour) == others,
        component,
        f"restore {label} touched state of another owner",
    )
    restored = read_rows(connection, component, ours)
    if rows is not None and restored is not None and len(rows) == len(before.items):  # an item is a row
        differing = sum(in_old for _, _, in_old, _ in changes.values())
        require(
            len(rows - restored) <= differing, component, f"restore {label} touched rows of items that do not differ"
        )
    _check_repeated(connection, component, ours, target)


def _check_repeated(connection: Connection, component: Component, ours: Owner, target: Content) -> None:
    rows = read_rows(connection, component, ours)
    deployment = connection.execute(parsed(f"SELECT {ACTIVE_DEPLOYMENT}"), ours.parameters).scalar()
    restore(connection, component, ours, target, deployment=deployment)
    label = f"restore of {target.label}, when live state was equal already,"
    require(read_digest(connection, component, ours) == target.digest, component, f"{label} changed the content")
    require(read_rows(connection, component, ours) == rows, component, f"{label} touched rows")


def _check_nothing_committed(engine: Engine, component: Component, estate: Estate, committed: Content) -> None:
    with _undone(engine) as connection:
        same = read_digest(connection, component, estate.ours) == committed.digest
    require(same, component, "what restore did was still there after a rollback of the transaction: it must not commit")


def _state(connection: Connection, component: Component, owner: Owner) -> tuple[object, object]:
    return read_digest(connection, component, owner), read_rows(connection, component, owner)


def _transaction(connection: Connection) -> object:
    return connection.execute(parsed("SELECT CAST(pg_current_xact_id() AS text)")).scalar()


@contextmanager
def _undone(engine: Engine) -> Iterator[Connection]:
    """A transaction that is rolled back at the end."""
    with engine.connect() as connection:
        connection.begin()
        try:
            yield connection
        finally:
            connection.rollback()
