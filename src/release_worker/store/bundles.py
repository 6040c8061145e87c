"""Bundles that are to be imported. One is kept for a day, and as long as an unfinished request names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, exc

from release_worker.domain.bundle import Manifest, not_a_bundle
from release_worker.errors import IntegrityMismatch, InvalidRequest
from release_worker.store.statements import parsed

# SQL: the content of component `name` in the bundle `:bundle`; NULL if it has none.
_CONTENT = """(
    SELECT nullif(document -> 'contents' -> '{name}', 'null') FROM ours.release_bundles WHERE digest = :bundle)"""

# What PostgreSQL says of a value that is not of its column's type, of its length, or against a rule of its table.
_DOES_NOT_FIT = ("22", "54", "23502", "23514")


def keep_bundle(connection: Connection, digest: str, text: str) -> None:
    """Put a bundle into the database for a day, over whatever is there under its digest."""
    insert = """
        INSERT INTO ours.release_bundles (digest, document) VALUES (:digest, CAST(:document AS jsonb))
        ON CONFLICT (digest) DO UPDATE SET document = excluded.document, created_at = now()
    """
    connection.execute(parsed(insert), {"digest": digest, "document": text})


def find_manifest(connection: Connection, digest: str) -> Manifest:
    """What a kept bundle says of itself. Raises InvalidRequest if it is not kept, IntegrityMismatch and
    UnsupportedContent."""
    query = "SELECT document - 'contents' FROM ours.release_bundles WHERE digest = :digest"
    document: Any = connection.execute(parsed(query), {"digest": digest}).scalar()
    if document is None:
        problem = f"bundle {digest[:16]}… is not in the database: import its file again"
        raise InvalidRequest(problem, problems=[{"field": "bundle", "problem": problem}])
    manifest = Manifest.read(document)
    if manifest.checksum != digest:
        wrong = [{"object": "bundle", "stored": digest, "computed": manifest.checksum}]
        raise IntegrityMismatch("another bundle than the one that was asked for is in its place", objects=wrong)
    return manifest


def bundled_content(component: str) -> str:
    """SQL: the content of a component in the bundle `:bundle`; NULL if it has none."""
    return _CONTENT.format(name=component.replace("'", "''"))


@contextmanager
def refusing_what_does_not_fit() -> Iterator[None]:
    """Around what puts a bundle's contents into live tables. Raises UnsupportedContent if they do not take them: the
    digests may be right, and the contents no release's all the same. It tells no value."""
    try:
        yield
    except exc.DBAPIError as error:
        state: str = getattr(error.orig, "sqlstate", None) or ""
        if not state.startswith(_DOES_NOT_FIT) or state == "54001":  # which is about depth, and has words of its own
            raise
        raise not_a_bundle(f"a content of it does not fit into the live tables (SQLSTATE {state})") from error


def forget_bundles(connection: Connection) -> None:
    """Delete those that have been kept for long enough. One that somebody asks for at this moment is left alone."""
    forget = """
        DELETE FROM ours.release_bundles WHERE digest IN (
            SELECT digest FROM ours.release_bundles AS kept
            WHERE created_at < now() - interval '1 day' AND NOT EXISTS (
                SELECT FROM ours.release_requests
                WHERE status IN ('queued', 'running') AND kind = 'import_bundle'
                  AND payload ->> 'bundle' = kept.digest)
            FOR UPDATE SKIP LOCKED)
    """
    connection.execute(parsed(forget))
