"""What is stored of a toolset's history: its rows, with the digests that they say they have and those that their
content has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.digests import NOTHING, StateDigests
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.kinds import KINDS
from release_worker.store.owners.relations import CURRENT_RELEASE, organization_of
from release_worker.store.parts import BUILT_IN_PARTS, Part
from release_worker.store.parts.component_state import AS_STORED
from release_worker.store.statements import parsed

# So many rows of content are digested by one statement; a row may hold megabytes.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A row that releases refer to. `computed` is None if it is written in a form that is not known here."""

    name: str
    stored: str
    computed: str | None


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release as it is stored; `parts` are the rows that it refers to, by the part's name."""

    id: UUID
    number: int
    kind: str
    digest: str
    predecessor_id: UUID | None
    parts: Mapping[str, UUID] = field(default_factory=dict)

    @property
    def by_older_software(self) -> bool:
        """It captured no source state."""
        return "source_state" not in self.parts


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A row of a chain of versions: `object` says of which chain."""

    object: str
    id: UUID
    version: int
    predecessor_id: UUID | None
    by_older_software: bool


@dataclass(frozen=True, slots=True)
class StoredRollback:
    """The releases that a rollback names."""

    id: UUID
    from_release_id: UUID | None
    to_release_id: UUID
    backup_release_id: UUID | None


def stored_releases(connection: Connection, toolset_id: UUID) -> list[StoredRelease]:
    """The toolset's releases by number."""
    query = """
        SELECT r.id, r.release_number, r.kind, r.digest, r.predecessor_id,
               jsonb_strip_nulls(jsonb_build_object(
                   'toolset_version', r.toolset_version_id,
                   'source_state', r.source_state_id,
                   'global_variations', r.global_variations_version_id,
                   'toolset_variations', r.toolset_variations_version_id))
               || coalesce((
                   SELECT jsonb_object_agg(c.component, c.component_state_id)
                   FROM ours.release_components c WHERE c.release_id = r.id), '{}') AS parts
        FROM ours.toolset_releases r WHERE r.toolset_id = :toolset_id ORDER BY r.release_number
    """
    return [
        StoredRelease(
            row.id,
            row.release_number,
            row.kind,
            row.digest,
            row.predecessor_id,
            {name: UUID(part) for name, part in row.parts.items()},
        )
        for row in connection.execute(parsed(query), {"toolset_id": toolset_id})
    ]


def stored_parts(connection: Connection, ids: Mapping[str, Iterable[UUID]]) -> dict[UUID, StoredPart]:
    """The rows of these ids, by the part's name, each digested once."""
    built_in = {part.name: part for part in BUILT_IN_PARTS}
    found: dict[UUID, StoredPart] = {}
    for name, wanted in ids.items():
        digested = _built_in(connection, built_in[name], wanted) if name in built_in else _plug_in(connection, wanted)
        found.update((part_id, StoredPart(name, stored, computed)) for part_id, stored, computed in digested)
    return found


_Digested = Iterator[tuple[UUID, str, str | None]]


def _built_in(connection: Connection, part: Part, ids: Iterable[UUID]) -> _Digested:
    names = list(dict.fromkeys(name for form in part.forms for name in form.contents))
    columns = ", ".join(f'ours.release_worker_digest({_as_written(part, name)}) AS "{name}"' for name in names)
    query = f"SELECT id, digest, form, {columns} FROM {part.table} AS part WHERE id = ANY (CAST(:ids AS uuid[]))"
    for some in _batches(ids):
        for part_id, stored, form, *digests in connection.execute(parsed(query), {"ids": some}):
            known = 1 <= form <= len(part.forms)
            state = StateDigests(dict(zip(names, digests, strict=True)))
            yield part_id, stored, part.digest(state, part.forms[form - 1]) if known else None


def _as_written(part: Part, component: str) -> str:
    cases = (
        f"WHEN {number} THEN {form.contents[component]}"
        for number, form in enumerate(part.forms, 1)
        if component in form.contents
    )
    return f"CASE part.form {' '.join(cases)} END"


def _plug_in(connection: Connection, ids: Iterable[UUID]) -> _Digested:
    """Of whichever plug-in: all forms are digested as they were written."""
    query = f"""
        SELECT id, digest, coalesce(ours.release_worker_digest({AS_STORED}), '{NOTHING}')
        FROM ours.component_states WHERE id = ANY (CAST(:ids AS uuid[]))
    """
    for some in _batches(ids):
        yield from ((row[0], row[1], row[2]) for row in connection.execute(parsed(query), {"ids": some}))


def _batches(ids: Iterable[UUID]) -> Iterator[Sequence[UUID]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _BATCH):
        yield ordered[start : start + _BATCH]


def stored_versions(connection: Connection, toolset_id: UUID) -> list[StoredVersion]:
    """The chains of versions that the toolset's releases refer to: its own, and its organization's variations."""
    query = f"""
        SELECT 'toolset_version' AS object, id, version, predecessor_id, tool_positions IS NULL
        FROM ours.toolset_versions WHERE toolset_id = :toolset_id
        UNION ALL
        SELECT scope || '_variations', id, version, predecessor_id, false FROM ours.variation_versions
        WHERE toolset_id = :toolset_id
           OR toolset_id IS NULL AND organization_id = {organization_of(":toolset_id")}
        ORDER BY object, version
    """
    return [StoredVersion(*row) for row in connection.execute(parsed(query), {"toolset_id": toolset_id})]


def stored_rollbacks(connection: Connection, toolset_id: UUID) -> list[StoredRollback]:
    """The toolset's rollbacks, the oldest first."""
    query = """
        SELECT id, from_release_id, to_release_id, backup_release_id
        FROM ours.toolset_rollbacks WHERE toolset_id = :toolset_id ORDER BY created_at, id
    """
    return [StoredRollback(*row) for row in connection.execute(parsed(query), {"toolset_id": toolset_id})]


def pointed_at(connection: Connection, toolset_id: UUID) -> UUID | None:
    """The id of the release that the toolset says is current."""
    found: UUID | None = connection.execute(parsed(f"SELECT {CURRENT_RELEASE}"), {"toolset_id": toolset_id}).scalar()
    return found


def pruned_numbers(connection: Connection, toolset_id: UUID) -> frozenset[int]:
    """The releases that were pruned, as the ledger says."""
    query = """
        SELECT CAST(number AS bigint)
        FROM ours.release_requests, jsonb_array_elements_text(result -> 'pruned') AS number
        WHERE toolset_id = :toolset_id AND kind = 'prune' AND status = 'succeeded'
    """
    return frozenset(connection.execute(parsed(query), {"toolset_id": toolset_id}).scalars())


def anything_pruned(connection: Connection, toolset_id: UUID) -> bool:
    """Whether a toolset of the organization was ever pruned, and so versions that nothing needed any more."""
    query = f"""
        SELECT EXISTS (
            SELECT FROM ours.release_requests asked
            WHERE asked.kind = 'prune' AND asked.status = 'succeeded'
              AND {organization_of("asked.toolset_id")} = {organization_of(":toolset_id")})
    """
    return bool(connection.execute(parsed(query), {"toolset_id": toolset_id}).scalar_one())


def promised_digests(connection: Connection, toolset_id: UUID) -> list[tuple[int, str]]:
    """Numbers of releases with their digests, as the ledger has told them to those who asked for these releases."""
    query = """
        SELECT DISTINCT CAST(result ->> 'release_number' AS bigint) AS number, result ->> 'digest'
        FROM ours.release_requests
        WHERE toolset_id = :toolset_id AND status = 'succeeded' AND kind = ANY (CAST(:kinds AS text[]))
        ORDER BY number
    """
    kinds = [name for name, kind in KINDS.items() if issubclass(kind.result, CreateReleaseResult)]
    rows = connection.execute(parsed(query), {"toolset_id": toolset_id, "kinds": kinds})
    return [(number, digest) for number, digest in rows]
