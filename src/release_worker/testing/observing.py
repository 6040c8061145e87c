"""What a component shows of an owner's state, and what it says about the difference of two contents."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, exc

from release_worker.errors import ReleaseWorkerError
from release_worker.state.component import Component, HasLiveRows, HasReach
from release_worker.state.reach import LISTED
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT
from release_worker.store.statements import parsed
from release_worker.testing.estate import Owner

# The digest of an item on either side, and on which sides it is.
ItemDifference = tuple[str | None, str | None, bool, bool]
BEFORE, AFTER = "CAST(:content_before AS jsonb)", "CAST(:content_after AS jsonb)"

# What a session may be set to elsewhere; content must not depend on it.
_ODD_SETTINGS = (
    "SET LOCAL TimeZone = 'Asia/Kathmandu'; SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL IntervalStyle = 'iso_8601'; "
    "SET LOCAL extra_float_digits = -3; SET LOCAL bytea_output = 'escape'"
)
_NO_COLUMNS = re.compile(r"\s*SELECT\s+(?=FROM\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """A content that was captured: its text and its digest, None for none; the digests of its items by key; and the
    deployment that was active, as a release keeps it."""

    label: str
    text: str | None
    digest: str | None
    items: Mapping[str, str | None]
    deployment: object = None

    def difference(self, other: "Content") -> dict[str, ItemDifference]:
        """What `diff` must find from this content to the other."""
        keys = [*self.items, *(key for key in other.items if key not in self.items)]
        found = {
            key: (self.items.get(key), other.items.get(key), key in self.items, key in other.items) for key in keys
        }
        return {key: item for key, item in found.items() if item[0] != item[1] or item[2] != item[3]}


NOTHING = Content("no content", None, None, {})


def require(condition: object, component: Component, sentence: str) -> None:
    """Raises AssertionError if the condition does not hold."""
    if not condition:
        raise AssertionError(f"component {component.name}: {sentence}")


@contextmanager
def trying(component: Component, what: str) -> Iterator[None]:
    """Around SQL of the component. Raises AssertionError if PostgreSQL or the component refuses it."""
    try:
        yield
    except (exc.SQLAlchemyError, ReleaseWorkerError) as error:
        reason = str(getattr(error, "orig", None) or error)
        raise AssertionError(f"component {component.name}: {what} failed: {reason}") from error


def read_content(connection: Connection, component: Component, owner: Owner, label: str) -> Content:
    """The live content, after checking that it is one, and the same however it is looked at."""
    digest = read_digest(connection, component, owner)
    require(digest == read_digest(connection, component, owner), component, f"capture differs when repeated, {label}")
    with connection.begin_nested() as elsewhere:
        connection.execute(parsed(_ODD_SETTINGS))
        odd = read_digest(connection, component, owner)
        elsewhere.rollback()
    require(digest == odd, component, f"capture depends on settings of the session such as TimeZone, {label}")
    query = f"""
        SELECT CAST(content AS text), jsonb_typeof(content), {ACTIVE_DEPLOYMENT}
        FROM (SELECT ours.release_worker_not_too_deep({component.capture()}, 'content') AS content) AS live
    """
    with trying(component, f"capture of content that is to be stored, {label},"):
        text, kind, deployment = connection.execute(parsed(query), owner.parameters).one()
    require(kind != "null", component, f"capture is the JSON value null, which is no content; NULL is none, {label}")
    found = Content(label, text, digest, {}, deployment)
    items = read_difference(connection, component, owner, NOTHING, found)
    for key, (_, _, in_old, in_new) in items.items():
        require(in_new and not in_old, component, f"diff from NULL does not show {key} as added, {label}")
    return Content(label, text, digest, {key: item[1] for key, item in items.items()}, deployment)


def read_digest(connection: Connection, component: Component, owner: Owner) -> str | None:
    """The digest of the live content. Raises AssertionError if it is not a `jsonb`."""
    query = f"""
        SELECT ours.release_worker_digest(content), CAST(pg_typeof(content) AS text)
        FROM (SELECT {component.capture()} AS content) AS live
    """
    with trying(component, "capture"):
        digest, kind = connection.execute(parsed(query), owner.parameters).one()
    require(kind == "jsonb", component, f"capture is of type {kind} and not jsonb")
    found: str | None = digest
    return found


def read_difference(
    connection: Connection, component: Component, owner: Owner, before: Content | None, after: Content
) -> dict[str, ItemDifference]:
    """What `diff` finds from one content, or from live content if it is None, to another."""
    first = component.capture() if before is None else BEFORE
    query = f"""
        SELECT CAST(key AS text), ours.release_worker_digest(old), ours.release_worker_digest(new), in_old, in_new,
               CAST(pg_typeof(key) AS text)
        FROM ({component.diff(first, AFTER)}) AS differing
    """
    label = f"from {before.label if before else 'live content'} to {after.label}"
    given = {**owner.parameters, "content_before": before and before.text, "content_after": after.text}
    found: dict[str, ItemDifference] = {}
    with trying(component, f"diff {label}"):
        rows = connection.execute(parsed(query), given).all()
    for key, old, new, in_old, in_new, kind in rows:
        require(key is not None and kind == "text", component, f"diff has a key that is no text, {label}")
        require(key not in found, component, f"diff has the key {key} twice, {label}")
        require(in_old is not None and in_new is not None, component, f"diff does not say where {key} is, {label}")
        found[key] = (old, new, in_old, in_new)
    return found


def read_reach(
    connection: Connection, component: HasReach, owner: Owner, before: Content, after: Content
) -> set[object]:
    """The ids that a change from one content to the other reaches."""
    given = {
        **owner.parameters,
        "content_before": before.text,
        "content_after": after.text,
        "touched": list(before.difference(after)),
    }
    found: set[object] = set()
    for query in component.reach(BEFORE, AFTER):
        statement = f"WITH {LISTED} SELECT CAST(id AS uuid) FROM ({query}) AS reached"
        found.update(connection.execute(parsed(statement), given).scalars())
    return found


def read_rows(connection: Connection, component: Component, owner: Owner) -> frozenset[tuple[str, ...]] | None:
    """Where each live row lies and who wrote it; None if `live_rows` cannot tell."""
    if not isinstance(component, HasLiveRows):
        return None
    shown = [
        _NO_COLUMNS.subn("SELECT tableoid::text, ctid::text, xmin::text ", query, count=1)
        for query in component.live_rows()
    ]
    if not all(times for _, times in shown):
        return None
    found: set[tuple[str, ...]] = set()
    try:
        with connection.begin_nested():
            for query, _ in shown:
                found.update(tuple(row) for row in connection.execute(parsed(query), owner.parameters))
    except exc.SQLAlchemyError:  # such as a join, whose rows are not of one table
        return None
    return frozenset(found)
