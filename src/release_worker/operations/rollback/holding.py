"""What a rollback decides from is held before it is read, so that it is still so when the rollback commits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.digests import SOURCE_STATE
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Scope, Subject
from release_worker.operations.restoring import built_in_rows, hold_rows_of_plug_ins
from release_worker.operations.rollback.target import with_its_number
from release_worker.state.component import Component
from release_worker.state.deployment import Deployment
from release_worker.state.registry import Registry
from release_worker.state.work import Work
from release_worker.store.captured import captured_contents
from release_worker.store.owners.holding import hold_owners
from release_worker.store.owners.relations import LIVE, OWNED
from release_worker.store.releases import ORIGINAL_DEPLOYMENT, RollbackReleases, releases_of_rollback
from release_worker.store.statements import parsed
from release_worker.store.targets import number_of


@dataclass(frozen=True, slots=True)
class Held:
    """Whose rows are held; the scopes that are held for writing; the toolset's releases, which stay as they are; and
    the request with the number of its target."""

    subject: Subject
    scopes: frozenset[Scope]
    releases: RollbackReleases
    request: Rollback


def hold_for_rollback(work: Work, request: Rollback) -> Held:
    """Hold the toolset and its owners, for writing those that `work` says and those that a quick look finds in need of
    it, and all live rows of what is held for writing.

    A guess that is too small is put right by MoreToHold. What is only read is held against those who hold it too, and
    compared again before the commit. Raises ToolsetNotFound, ReleaseNotFound and VersionConflict.
    """
    connection, registry = work.connection, work.registry
    likely = _likely_written(connection, request, work.toolset_id, registry)
    written = work.written.union(("toolset",), likely)
    subject = hold_owners(connection, work.toolset_id, written=written)
    hold_rows_of_plug_ins(connection, registry, subject, written=written)
    rows = built_in_rows(registry, written=written)
    numbered = with_its_number(connection, work.toolset_id, request)
    releases = releases_of_rollback(connection, subject, numbered.number, holding=rows)
    return Held(subject, written, releases, numbered)


def _likely_written(
    connection: Connection, request: Rollback, toolset_id: UUID, registry: Registry
) -> frozenset[Scope]:
    """The scopes of shared components that differ from the target now, before anything is held."""
    shared = [one for one in registry if one.scope != "toolset" and one.name in (request.components or registry.names)]
    if not shared:
        return frozenset()
    number = number_of(connection, toolset_id, request.to) if request.to else request.release_number
    parameters = {"toolset_id": toolset_id, "number": number}
    row = connection.execute(parsed(_comparison(shared, registry)), parameters).one_or_none()
    if row is None:  # what is held is there or not; this is only a guess
        return frozenset()
    return frozenset(one.scope for one, differs in zip(shared, row, strict=True) if differs)


def _comparison(components: Sequence[Component], registry: Registry) -> str:
    """SQL: whether each of these differs from what release `:number` of a live toolset says of it; a row if there are
    both."""
    captured = captured_contents([one.name for one in components], registry.parts)
    columns = []
    for one in components:
        differs = f"{one.capture()} IS DISTINCT FROM {captured[one.name]}"
        if isinstance(one, Deployment):
            differs = one.moved(ORIGINAL_DEPLOYMENT)
        said = ":target_source_state_id IS NOT NULL AND " if one.name in SOURCE_STATE else ""
        columns.append(_PLACE.sub(r"(SELECT \1 FROM looked_at)", f'{said}({differs}) AS "{one.name}"'))
    return f"""
        WITH looked_at AS MATERIALIZED (
            SELECT t.project_id, t.organization_id, r.toolset_id, r.id AS release_id, r.toolset_version_id,
                   r.source_state_id, r.global_variations_version_id, r.toolset_variations_version_id
            FROM {OWNED} JOIN ours.toolset_releases r ON r.toolset_id = t.id
            WHERE t.id = :toolset_id AND {LIVE} AND r.release_number = :number)
        SELECT {", ".join(columns)} FROM looked_at
    """


# The parameters of live and of captured contents, as SQLAlchemy reads parameters.
_PLACE = re.compile(
    r"(?<![:\w\\]):(?:target_)?(toolset_id|project_id|organization_id|release_id|toolset_version_id|source_state_id|"
    r"global_variations_version_id|toolset_variations_version_id)\b(?!:)"
)
