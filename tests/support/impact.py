"""Whom a rollback would reach, as its refusal says."""

from typing import Any

import pytest
from sqlalchemy import Engine

from release_worker.errors import SharedStateImpact
from tests.support.operations import roll_back
from tests.support.records import whole_database
from tests.support.world import Toolset

Impact = dict[str, list[str]]


def impact(engine: Engine, toolset: Toolset, **options: Any) -> Impact:
    """The toolsets that a refused rollback to release 1 names, with what reaches them; none if it is not refused."""
    before = whole_database(engine)
    planned = roll_back(engine, toolset, 1, dry_run=True, **options)
    assert whole_database(engine) == before
    if planned.refused is None or planned.refused["type"] != "SharedStateImpact":
        assert not planned.affected or options.get("allow_shared_impact")
        return {}
    with pytest.raises(SharedStateImpact) as done:
        roll_back(engine, toolset, 1, **options)
    assert done.value.as_record() == planned.refused
    assert whole_database(engine) == before
    named = done.value.details["toolsets"]
    assert named == list(planned.affected) == sorted(named, key=lambda one: str(one["path"]))
    assert all(one["path"] in done.value.message for one in named)
    return {one["path"]: one["components"] for one in named}
