"""Whom a rollback would reach, as its refusal says."""

from typing import Any

from sqlalchemy import Engine

from release_worker.errors import SharedStateImpact
from tests.support.operations import roll_back
from tests.support.records import whole_database
from tests.support.world import Toolset

Impact = dict[str, list[str]]


def impact(engine: Engine, toolset: Toolset, **options: Any) -> Impact:
    """The toolsets that a refused rollback to release 1 names, with what reaches them; none if it is not refused."""
    before = whole_database(engine)
    planned = _refusal(engine, toolset, dry_run=True, **options)
    if planned is None:
        return {}
    done = _refusal(engine, toolset, **options)
    assert done is not None
    assert done.as_record() == planned.as_record()
    assert whole_database(engine) == before
    named = done.details["toolsets"]
    assert named == sorted(named, key=lambda one: str(one["path"]))
    assert all(one["path"] in done.message for one in named)
    return {one["path"]: one["components"] for one in named}


def _refusal(engine: Engine, toolset: Toolset, **options: Any) -> SharedStateImpact | None:
    try:
        roll_back(engine, toolset, 1, **options)
    except SharedStateImpact as refused:
        return refused
    return None
