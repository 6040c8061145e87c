"""What must be there before a request of a kind can succeed."""

from typing import Any

from sqlalchemy import Engine

from tests.support.bundles import exported, keep
from tests.support.staging import stage
from tests.support.world import Toolset


def ready_for(engine: Engine, kind: str, toolset: Toolset) -> dict[str, Any]:
    """Make it for a toolset that has a release 1; the fields of the request that name it."""
    match kind:
        case "publish" | "discard":
            stage(engine, toolset)
        case "import_bundle":
            return {"bundle": keep(engine, exported(engine, toolset, 1)), "allow_shared_impact": True}
    return {}
