"""Whether a component keeps the rules of `release_worker.components`: a suite that any test framework can call."""

import re
from collections.abc import Sequence
from itertools import permutations
from typing import get_args

from sqlalchemy import Connection, Engine, exc

from release_worker.domain.database import PUBLIC
from release_worker.domain.subject import Scope
from release_worker.state.component import Component, HasLiveRows, HasReach
from release_worker.store.owners.holding import hold_owners, hold_rows
from release_worker.store.statements import name_schema, parsed
from release_worker.testing.estate import Edit, Estate, build_estate
from release_worker.testing.observing import (
    NOTHING,
    Content,
    read_content,
    read_difference,
    read_digest,
    read_reach,
    require,
    trying,
)
from release_worker.testing.restoring import check_restores

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_BUSY = "55P03"


def exercise_component(component: Component, *, engine: Engine, edits: Sequence[Edit], schema: str = PUBLIC) -> None:
    """Check a component on state that is edited step by step. Raises AssertionError, a sentence that says which rule
    is broken and when.

    `engine` is of a database that `release-worker db upgrade` has migrated, to this `schema`, with the component's own
    tables. The suite commits new organizations, projects and toolsets there, so use a database that is thrown away.

    Each of `edits` is a function of a connection and an `Owner` (`toolset_id`, `project_id`, `organization_id`), which
    changes the component's state of that owner, as an app would, and does not commit. They are called one after the
    other, for several owners. Together they should add, change and remove; each must change what is captured. If the
    component has `live_rows`, each must be held off by them, by the owner's row, or by its foreign keys to it. Small
    edits find more: this is checked for each as a whole.
    """
    _check_declaration(component, edits)
    engine = engine.execution_options()
    name_schema(engine, schema)
    estate = build_estate(engine, component.scope)
    contents = [_read(engine, component, estate, "before the first edit")]
    _check_owners(engine, component, estate, contents[0], edits)
    for edit in edits:
        busy = _is_held_off(engine, component, estate, edit)
        with engine.begin() as connection:
            edit(connection, estate.ours)
        contents.append(_read(engine, component, estate, f"after {_name(edit)}"))
        _check_edit(component, edit, *contents[-2:], busy=busy)
    _check_differences(engine, component, estate, contents)
    _check_reach(engine, component, estate, contents)
    check_restores(engine, component, estate, contents)


def _check_declaration(component: Component, edits: Sequence[Edit]) -> None:
    require(_NAME.fullmatch(component.name), component, "its name is not lower-case words joined by _")
    require(component.scope in get_args(Scope), component, f"its scope is {component.scope!r}, which is none")
    require(edits, component, "there is no edit to exercise it with")


def _check_owners(engine: Engine, component: Component, estate: Estate, fresh: Content, edits: Sequence[Edit]) -> None:
    """Content is that of the owner alone, and holds nothing of its identity. The neighbour is left with much state."""
    with engine.connect() as connection:
        alike = read_digest(connection, component, estate.stranger) == fresh.digest
    require(alike, component, "two new owners have different content: it holds ids or times, or state of others")
    sizes: list[int] = []
    with engine.connect() as connection:
        for edit in edits:
            edit(connection, estate.neighbour)
            same = read_digest(connection, component, estate.ours) == fresh.digest
            require(same, component, f"{_name(edit)} of another owner's state changed the content")
            sizes.append(len(read_content(connection, component, estate.neighbour, f"after {_name(edit)}").items))
        connection.rollback()
    with engine.begin() as connection:
        for edit in edits[: sizes.index(max(sizes)) + 1]:
            edit(connection, estate.neighbour)


def _read(engine: Engine, component: Component, estate: Estate, label: str) -> Content:
    with engine.connect() as connection:
        content = read_content(connection, component, estate.ours, label)
        if estate.partner is not None:
            same = read_digest(connection, component, estate.partner) == content.digest
            require(same, component, f"two toolsets of one {component.scope} have different content, {label}")
    return content


def _check_edit(component: Component, edit: Edit, before: Content, after: Content, *, busy: bool | None) -> None:
    require(before.digest != after.digest, component, f"capture does not see what {_name(edit)} changes")
    sentence = f"{_name(edit)} is not held off by live_rows and the owner's row, so that a rollback may overwrite it"
    require(busy is not False, component, sentence)


def _is_held_off(engine: Engine, component: Component, estate: Estate, edit: Edit) -> bool | None:
    """Whether the edit must wait while a rollback holds the owners and the live rows; None if there are no live rows
    to hold."""
    if not isinstance(component, HasLiveRows):
        return None
    with engine.connect() as rollback, rollback.begin(), engine.connect() as app:
        hold_owners(rollback, estate.ours.toolset_id, written={"toolset", component.scope})
        with trying(component, "holding live_rows FOR UPDATE"):
            hold_rows(rollback, component.live_rows(), estate.ours.subject)
        require(not _is_busy(app, component, estate), component, "live_rows hold rows of another owner")
        app.execute(parsed("SET LOCAL lock_timeout = '100ms'"))
        try:
            edit(app, estate.ours)
        except exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _BUSY:
                raise
            return True
        finally:
            app.rollback()
    return False


def _is_busy(app: Connection, component: HasLiveRows, estate: Estate) -> bool:
    try:
        hold_rows(app, component.live_rows(), estate.neighbour.subject)
    except exc.DBAPIError as error:
        return getattr(error.orig, "sqlstate", None) == _BUSY
    finally:
        app.rollback()
    return False


def _check_differences(engine: Engine, component: Component, estate: Estate, contents: Sequence[Content]) -> None:
    """`diff` names what differs between any two contents, in both directions, and nothing else."""
    with engine.connect() as connection:
        for content in contents:
            same = read_difference(connection, component, estate.ours, content, content)
            require(not same, component, f"diff of equal contents, {content.label}, is not empty: {', '.join(same)}")
        for before, after in permutations((NOTHING, *contents), 2):
            found = read_difference(connection, component, estate.ours, before, after)
            label = f"from {before.label} to {after.label}"
            wrong = sorted({key for key, _ in found.items() ^ before.difference(after).items()})
            require(not wrong, component, f"diff {label} is wrong about {', '.join(wrong)}")
            differ = before.digest != after.digest and NOTHING not in (before, after)
            require(found or not differ, component, f"diff {label} is empty, though the contents differ")


def _check_reach(engine: Engine, component: Component, estate: Estate, contents: Sequence[Content]) -> None:
    """Whatever is restored, `reach` can be asked, and names no toolset of another owner."""
    if not isinstance(component, HasReach) or component.scope == "toolset":
        return
    with engine.connect() as connection:
        for before, after in permutations((NOTHING, *contents), 2):
            label = f"from {before.label} to {after.label}"
            with trying(component, f"reach {label}"):
                reached = read_reach(connection, component, estate.ours, before, after)
            foreign = reached & {estate.neighbour.toolset_id, estate.stranger.toolset_id}
            require(not foreign, component, f"reach {label} names a toolset of another owner")


def _name(edit: Edit) -> str:
    return getattr(edit, "__name__", repr(edit))
