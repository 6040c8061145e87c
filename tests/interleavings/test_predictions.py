"""Each order by itself comes to what the model says: what pairs are held against is right, and not only repeated."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.interleavings.actions import Edit
from tests.interleavings.catalogue import Pair, pairs_of
from tests.interleavings.outcome import name_of
from tests.interleavings.playing import play_in_order
from tests.interleavings.prediction import SceneModel, model_of, predict
from tests.interleavings.stage import Stage
from tests.support.live_state import live_state
from tests.support.records import captured_states, current_number, releases_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each order; whether an app holds what it edits makes no difference to it."""
    candidates = pairs_of(metafunc.config)
    pairs = [pair for pair in candidates if all(not isinstance(one, Edit) or one.holds for one in pair)]
    metafunc.parametrize("pair", pairs, ids=[f"{first.name}, then {second.name}" for first, second in pairs])


@pytest.fixture(scope="session")
def start(stage: Stage) -> SceneModel:
    stage.reset()
    return model_of(stage.engine, stage.scene)


def test_an_order_comes_to_what_the_model_predicts(stage: Stage, start: SceneModel, pair: Pair) -> None:
    model, errors = predict(start, pair)

    answers = play_in_order(stage, *pair)

    assert [_error(answers[role]) for role in ("first", "second")] == errors
    for slug, row_id in _toolsets(stage):
        assert live_state(stage.engine, row_id) == model.live(slug)
    for slug, toolset in stage.scene.toolsets.items():
        rows = releases_of(stage.engine, toolset)
        foreseen, kept = model.toolsets[slug], model.kept(slug)
        assert captured_states(stage.engine, toolset) == {number: foreseen.releases[number - 1] for number in kept}
        assert {row.release_number: row.kind for row in rows} == {number: foreseen.kinds[number - 1] for number in kept}
        assert current_number(stage.engine, toolset) == foreseen.current
        assert {row.release_number for row in rows if row.labels.get("pinned")} == model.pinned.get(slug, set())
    assert {slug for slug, _ in _toolsets(stage)} == set(model.toolsets)


def _error(answer: dict[str, Any]) -> str | None:
    error: dict[str, str] | None = answer["error"]
    return None if error is None else error["type"]


def _toolsets(stage: Stage) -> Iterator[tuple[str, UUID]]:
    names = stage.scene.names
    with stage.engine.connect() as connection:
        for row in connection.execute(text("SELECT id, slug FROM toolsets")):
            yield name_of(row.id, row.slug, names), row.id
