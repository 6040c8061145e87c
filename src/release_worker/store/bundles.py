"""Bundles that are to be imported. One is kept for a day, and as long as an unfinished request names it."""

from typing import Any

from sqlalchemy import Connection

from release_worker.domain.bundle import Manifest
from release_worker.errors import IntegrityMismatch, InvalidRequest
from release_worker.store.statements import parsed

# SQL: the content of component `name` in the bundle `:bundle`; NULL if it has none.
_CONTENT = "(SELECT nullif(document -> 'contents' -> '{name}', 'null') FROM release_bundles WHERE digest = :bundle)"


def keep_bundle(connection: Connection, digest: str, text: str) -> None:
    """Put a bundle into the database for a day, over whatever is there under its digest."""
    insert = """
        INSERT INTO release_bundles (digest, document) VALUES (:digest, CAST(:document AS jsonb))
        ON CONFLICT (digest) DO UPDATE SET document = excluded.document, created_at = now()
    """
    connection.execute(parsed(insert), {"digest": digest, "document": text})


def find_manifest(connection: Connection, digest: str) -> Manifest:
    """What a kept bundle says of itself. Raises InvalidRequest if it is not kept, IntegrityMismatch and
    UnsupportedContent."""
    query = "SELECT document - 'contents' FROM release_bundles WHERE digest = :digest"
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


def forget_bundles(connection: Connection) -> None:
    """Delete those that have been kept for long enough. One that somebody asks for at this moment is left alone."""
    forget = """
        DELETE FROM release_bundles WHERE digest IN (
            SELECT digest FROM release_bundles AS kept
            WHERE created_at < now() - interval '1 day' AND NOT EXISTS (
                SELECT FROM release_requests
                WHERE status IN ('queued', 'running') AND kind = 'import_bundle'
                  AND payload ->> 'bundle' = kept.digest)
            FOR UPDATE SKIP LOCKED)
    """
    connection.execute(parsed(forget))
