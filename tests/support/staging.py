"""Staged copies: the operations on them, and a copy as a toolset that apps edit."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine, text

from release_worker.domain.requests.discard import DiscardResult
from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.publish import PublishResult
from release_worker.domain.requests.request import Result
from release_worker.domain.requests.set_mode import SetModeResult
from release_worker.domain.requests.stage import StageResult
from release_worker.operations.execute import Addressed, carry_out
from release_worker.state.registry import Registry, built_in_components
from tests.support.operations import ACTOR
from tests.support.world import Toolset

R = TypeVar("R", bound=Result)


def stage(engine: Engine, toolset: Toolset, *, registry: Registry | None = None) -> Toolset:
    """Ask for a staged copy; the copy."""
    return copy_in(toolset, perform(engine, "stage", toolset, StageResult, registry=registry))


def publish(engine: Engine, toolset: Toolset, *, registry: Registry | None = None, **fields: Any) -> PublishResult:
    return perform(engine, "publish", toolset, PublishResult, registry=registry, **fields)


def discard(engine: Engine, toolset: Toolset) -> DiscardResult:
    return perform(engine, "discard", toolset, DiscardResult)


def set_mode(engine: Engine, toolset: Toolset, mode: str) -> SetModeResult:
    return perform(engine, "set_mode", toolset, SetModeResult, mode=mode)


def perform(
    engine: Engine, kind: str, toolset: Toolset, result: type[R], *, registry: Registry | None = None, **fields: Any
) -> R:
    """Carry a request of any kind out."""
    request = validate_request(kind, {"toolset": str(toolset.id), "actor": ACTOR, **fields})
    done = carry_out(engine, Addressed(request, toolset.id), registry or built_in_components())
    assert isinstance(done, result)
    return done


def copy_in(toolset: Toolset, staged: StageResult) -> Toolset:
    """The copy that a result names."""
    return Toolset(toolset.rows, staged.toolset_id, toolset.project, staged.path.rpartition("/")[2])


def mode_of(engine: Engine, toolset: Toolset) -> str:
    """How the toolset says that it is edited."""
    query = text("SELECT editing_mode FROM toolsets WHERE id = :id")
    with engine.connect() as connection:
        return str(connection.execute(query, {"id": toolset.id}).scalar_one())


def living_copies(engine: Engine, toolset: Toolset) -> list[UUID]:
    """The ids of the live toolsets that name this one as their parent, read with SQL of the test's own."""
    query = text("SELECT id FROM toolsets WHERE parent_toolset_id = :id AND deleted_at IS NULL")
    with engine.connect() as connection:
        return list(connection.execute(query, {"id": toolset.id}).scalars())
