"""What retention must leave behind, said again in Python, and the two operations of it."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.pin import PinResult
from release_worker.domain.requests.prune import PruneResult
from release_worker.domain.requests.request import Result
from release_worker.operations.execute import Addressed, carry_out
from release_worker.state.registry import built_in_components
from tests.support.live_state import LiveState
from tests.support.operations import ACTOR
from tests.support.records import (
    captured_state,
    recomputed_digests,
    releases_of,
    stored_digests,
)
from tests.support.world import Toolset


def prune(engine: Engine, toolset: Toolset, *, keep: int) -> PruneResult:
    result = _perform(engine, "prune", toolset, keep=keep)
    assert isinstance(result, PruneResult)
    return result


def pin(engine: Engine, toolset: Toolset, number: int, *, pinned: bool = True) -> PinResult:
    result = _perform(engine, "pin", toolset, release_number=number, pinned=pinned)
    assert isinstance(result, PinResult)
    return result


def _perform(engine: Engine, kind: str, toolset: Toolset, **fields: Any) -> Result:
    request = validate_request(kind, {"toolset": toolset.path, "actor": ACTOR, **fields})
    return carry_out(engine, Addressed(request, toolset.id), built_in_components())


@dataclass
class Kept:
    """A release as it was made."""

    state: LiveState
    predecessor: int | None
    pinned: bool = False


@dataclass
class History:
    """A toolset's releases by number, and what keeps them."""

    releases: dict[int, Kept] = field(default_factory=dict)
    current: int | None = None
    named: set[int] = field(default_factory=set)
    newest: int = 0

    def add(self, number: int, state: LiveState) -> None:
        assert number == self.newest + 1
        self.newest = number
        self.releases[number] = Kept(state, self.current)

    def prune(self, keep: int) -> tuple[int, ...]:
        """The numbers that go, in order."""
        newest = sorted(self.releases)[-keep:]
        pinned = [number for number, kept in self.releases.items() if kept.pinned]
        stay = {*newest, *pinned, *self.named, *([] if self.current is None else [self.current])}
        going = tuple(number for number in sorted(self.releases) if number not in stay)
        for number in going:
            after = [kept for kept in self.releases.values() if kept.predecessor == number]
            for kept in after:
                kept.predecessor = self.releases[number].predecessor
            del self.releases[number]
        return going


def assert_kept(engine: Engine, toolset: Toolset, history: History) -> None:
    """The releases of the history are there, each as it was made, in a chain without gaps; and no others."""
    rows = releases_of(engine, toolset)
    assert [row.release_number for row in rows] == sorted(history.releases)
    numbers = {row.id: row.release_number for row in rows}
    for row in rows:
        kept = history.releases[row.release_number]
        assert (row.predecessor_id and numbers[row.predecessor_id]) == kept.predecessor
        assert captured_state(engine, toolset, row.release_number) == kept.state
        assert stored_digests(engine, toolset, row.release_number) == recomputed_digests(
            engine, toolset, row.release_number
        )


def assert_no_garbage(engine: Engine) -> None:
    """Every content is that of a release, but for the newest version of each kind."""
    unused = """
        SELECT 'source', id FROM source_states s
        WHERE NOT EXISTS (SELECT FROM toolset_releases WHERE source_state_id = s.id)
        UNION ALL
        SELECT 'version', id FROM toolset_versions v
        WHERE NOT EXISTS (SELECT FROM toolset_releases WHERE toolset_version_id = v.id)
          AND version < (SELECT max(version) FROM toolset_versions WHERE toolset_id = v.toolset_id)
        UNION ALL
        SELECT 'variation', id FROM variation_versions v
        WHERE NOT EXISTS (
                SELECT FROM toolset_releases
                WHERE v.id IN (global_variations_version_id, toolset_variations_version_id))
          AND version < (SELECT max(version) FROM variation_versions
                         WHERE organization_id = v.organization_id AND toolset_id IS NOT DISTINCT FROM v.toolset_id)
        UNION ALL
        SELECT 'component', id FROM component_states s
        WHERE NOT EXISTS (SELECT FROM release_components WHERE component_state_id = s.id)
    """
    with engine.connect() as connection:
        assert connection.execute(text(unused)).all() == []


def assert_versions_chained(engine: Engine) -> None:
    """The predecessor of each version is the one before it that is left."""
    broken = """
        SELECT id FROM (
            SELECT id, predecessor_id, lag(id) OVER (PARTITION BY toolset_id ORDER BY version) AS expected
            FROM toolset_versions) AS chain
        WHERE predecessor_id IS DISTINCT FROM expected
        UNION ALL
        SELECT id FROM (
            SELECT id, predecessor_id,
                   lag(id) OVER (PARTITION BY organization_id, toolset_id ORDER BY version) AS expected
            FROM variation_versions) AS chain
        WHERE predecessor_id IS DISTINCT FROM expected
    """
    with engine.connect() as connection:
        assert connection.execute(text(broken)).all() == []
