"""What a rollback decides from is held before it is read, so that it is still so when the rollback commits."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.digests import SOURCE_STATE
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Scope, Subject
from release_worker.operations.restoring import built_in_rows, hold_rows_of_plug_ins
from release_worker.operations.rollback.target import with_its_number
from release_worker.state.deployment import Deployment
from release_worker.state.registry import Registry
from release_worker.state.states import State, captured_state, live_state
from release_worker.state.work import Work
from release_worker.store.owners.holding import hold_owners
from release_worker.store.releases import ORIGINAL_DEPLOYMENT, RollbackReleases, look_for, releases_of_rollback
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
    found = None if number is None else look_for(connection, toolset_id, number)
    if found is None:  # what is held is there or not; this is only a guess
        return frozenset()
    subject, target = found
    names = [one.name for one in shared if target.source_state_id or one.name not in SOURCE_STATE]
    if not names:
        return frozenset()
    captured = captured_state(target, registry, names)
    differing = _differing(connection, registry, live_state([registry[name] for name in names], subject), captured)
    return frozenset(registry[name].scope for name in differing)


def _differing(connection: Connection, registry: Registry, live: State, captured: State) -> list[str]:
    tests = {
        name: component.moved(ORIGINAL_DEPLOYMENT)
        if isinstance(component := registry[name], Deployment)
        else f"({live[name]} IS DISTINCT FROM {content})"
        for name, content in captured.contents.items()
    }
    columns = ", ".join(f'{test} AS "{name}"' for name, test in tests.items())
    row = live.over(captured).query(connection, f"SELECT {columns}").one()
    return [name for name, differs in zip(tests, row, strict=True) if differs]
