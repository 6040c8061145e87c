"""Capturing: live state is read, digested and written down as a release by one statement.

Each component's content (see `state.component`) is evaluated once, inside PostgreSQL, and stays there. What a release
refers to are rows that hold each content once: if the newest row of a toolset, a scope or a project has the digest
already, the release refers to that row; otherwise a new row is written. No such row is ever edited.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.freeze import Freeze
from release_worker.domain.release import Release, ReleaseKind
from release_worker.domain.subject import Subject
from release_worker.store.freezes import FREEZE_IN_FORCE, freeze_read
from release_worker.store.owners.pointing import POINT_AT_NEW_RELEASE
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT
from release_worker.store.parts import BUILT_IN_PARTS, ComponentState
from release_worker.store.parts.part import object_in_sql
from release_worker.store.statements import parsed

Contents = Mapping[str, str]
# SQL: the fields of a Release, in their order; no row if none was written.
_WRITTEN = """
    SELECT release.id, release.toolset_id, release.release_number, release.kind, release.toolset_version_id,
           toolset_version.version AS toolset_version, release.source_state_id, release.global_variations_version_id,
           release.toolset_variations_version_id, release.digest, release.predecessor_id, release.notes, release.labels,
           release.released_by, release.request_id, release.created_at
    FROM release, toolset_version
"""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What kind of release it is, who made it, for which request, and what they said about it."""

    kind: ReleaseKind
    released_by: str
    request_id: str | None = None
    notes: str | None = None
    labels: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The release that was current, if there was one. With `digest`, a release is only written if its own would be
    another."""

    id: UUID | None
    digest: str | None = None


class Captured(NamedTuple):
    """The release, None if live state is what the predecessor holds; and the freeze in force at that moment, if any."""

    release: Release | None
    freeze: Freeze | None


def capture_release(
    connection: Connection, statement: str, subject: Subject, *, predecessor: Predecessor, stamp: Stamp
) -> Captured:
    """Write live state down as the toolset's next release; one of kind `release` becomes the current one.

    `statement` is a `capture_statement`. Nothing is written if the release would have the digest of its predecessor.
    Numbers start at 1 and have no gaps: the toolset must be locked, and the number is unique, so that of two
    transactions that chose the same one the later gets a VersionConflict. A freeze is told, and left to the caller: it
    is seen in the snapshot from which the release is made.
    """
    parameters = {
        **subject.parameters,
        "kind": stamp.kind,
        "predecessor_id": predecessor.id,
        "notes": stamp.notes,
        "labels": canonical_json.dumps(stamp.labels or {}),
        "released_by": stamp.released_by,
        "request_id": stamp.request_id,
        "make_current": stamp.kind == "release",
        "unless": predecessor.digest,
    }
    freeze, *release = connection.execute(parsed(statement), parameters).one()
    return Captured(None if release[0] is None else Release(*release), freeze_read(freeze))


def capture_statement(contents: Contents, plug_ins: Sequence[ComponentState]) -> str:
    """SQL: the whole of it, one row: the freeze in force, and the release that was written, if one was. `contents` are
    SQL expressions by component name."""
    return f"""
        WITH {", ".join(capture_steps(contents, plug_ins))}
        SELECT {FREEZE_IN_FORCE} AS freeze, written.*
        FROM (VALUES (1)) AS always LEFT JOIN ({_WRITTEN}) AS written ON true
    """


def capture_steps(contents: Contents, plug_ins: Sequence[ComponentState], *, only_if: str | None = None) -> list[str]:
    """SQL: the steps that write a release down, of which `release` has its row, if one was written, and
    `toolset_version` the version that it refers to. Nothing is written without the condition `only_if`."""
    return [
        *_state(contents, plug_ins, only_if),
        *(step for part in BUILT_IN_PARTS for step in part.steps()),
        *_release(),
        *(step for plug_in in plug_ins for step in plug_in.steps()),
    ]


def _state(contents: Contents, plug_ins: Sequence[ComponentState], only_if: str | None) -> Iterator[str]:
    """The contents, their digests, and those of the parts; `wanted` is empty if nothing is to be written."""
    condition = "" if only_if is None else f" AND {only_if}"
    live = (f'{content} AS "{name}"' for name, content in contents.items())
    digests = (f'ours.release_worker_digest("{name}") AS "{name}"' for name in contents)
    parts = (f"{part.digest_in_sql()} AS {part.name}" for part in BUILT_IN_PARTS)
    present = object_in_sql({plug_in.name: f'"{plug_in.name}"' for plug_in in plug_ins})
    yield f"live AS MATERIALIZED (SELECT {', '.join(live)})"
    yield f"digests AS MATERIALIZED (SELECT {', '.join(digests)} FROM live)"
    yield f"""
        parts AS MATERIALIZED (
            SELECT {", ".join(parts)}, jsonb_strip_nulls({present}) AS plug_ins FROM digests)
    """
    yield f"""
        wanted AS MATERIALIZED (
            SELECT digest FROM (
                SELECT ours.release_worker_digest(
                    {object_in_sql({part.name: part.name for part in BUILT_IN_PARTS})}
                    || CASE plug_ins WHEN '{{}}' THEN '{{}}' ELSE jsonb_build_object('components', plug_ins) END
                ) AS digest
                FROM parts) AS whole
            WHERE digest IS DISTINCT FROM CAST(:unless AS text){condition})
    """


def _release() -> Iterator[str]:
    yield f"""
        release AS (
            INSERT INTO ours.toolset_releases (
                toolset_id, release_number, kind, toolset_version_id, source_state_id, global_variations_version_id,
                toolset_variations_version_id, digest, predecessor_id, notes, labels, released_by, request_id,
                deployment_id, created_at)
            SELECT :toolset_id,
                   (SELECT coalesce(max(release_number), 0) + 1
                    FROM ours.toolset_releases WHERE toolset_id = :toolset_id),
                   :kind, toolset_version.id, source_state.id, (SELECT id FROM global_variations_version),
                   (SELECT id FROM toolset_variations_version), wanted.digest, CAST(:predecessor_id AS uuid), :notes,
                   CAST(:labels AS jsonb), :released_by, :request_id,
                   {ACTIVE_DEPLOYMENT}, clock_timestamp()
            FROM wanted CROSS JOIN toolset_version CROSS JOIN source_state
            RETURNING id, toolset_id, release_number, kind, toolset_version_id, source_state_id,
                      global_variations_version_id, toolset_variations_version_id, digest, predecessor_id, notes,
                      labels, released_by, request_id, created_at)
    """
    yield POINT_AT_NEW_RELEASE
