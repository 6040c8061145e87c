"""An app that holds the row of what it edits, and a rollback at the same moment: one order or the other, as the suite's
own verdict sees it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from release_worker.embedded.process import eventually
from tests.faults.estate import apply_edit, build_estate
from tests.faults.history import History
from tests.faults.plan import Edit

TOOLSET = 0


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


@pytest.mark.parametrize("epoch", range(1, 4))
@pytest.mark.parametrize("components", [("tools",), None], ids=["of the list", "of everything"])
def test_a_rollback_beside_an_app_that_holds_the_row_is_explained_by_one_order(
    engine: Engine, components: tuple[str, ...] | None, epoch: int
) -> None:
    """The edit takes place while the rollback waits for the toolset that the app holds."""
    history = History(engine, build_estate(engine))
    place = history.places[TOOLSET]
    history.do(TOOLSET)
    with engine.begin() as connection:
        apply_edit(connection, place, Edit(0.0, TOOLSET, 100, ("tools",), held=True))
    history.do(TOOLSET)

    with ThreadPoolExecutor(1) as pool, engine.connect() as app:
        app.execute(text("SELECT FROM toolsets WHERE id = :id FOR UPDATE"), {"id": place.id})
        asked = {"release_number": 1, "components": components, "allow_shared_impact": True}
        rollback = pool.submit(history.do, TOOLSET, "rollback", **asked)
        assert eventually(lambda: waits_for_a_lock(engine), within=20)
        apply_edit(app, place, Edit(0.0, TOOLSET, epoch, ("tools",), held=True))
        app.commit()
        rollback.result()
    history.do(TOOLSET)

    assert [one for found in history.judged().values() for one in found] == []
