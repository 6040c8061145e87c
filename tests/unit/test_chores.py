"""A chore is a name in `broker/routing.py`; what else belongs to it is derived, or named here if it is not there."""

from dataclasses import fields

import pytest

from release_worker.broker.routing import CHORES, MAINTENANCE
from release_worker.domain.limits import Limits
from release_worker.settings import given_settings
from release_worker.worker.chores import CARRIED_OUT_BY
from release_worker.worker.config import worker_settings
from tests.support.repository import read

WORKER = worker_settings(given_settings(database_url="postgresql://db.test/app", broker_url="redis://redis.test"))
# What tests call, if it is not named for the chore.
CALLED = {
    "release_worker.fold_measurements": "fold",
    "release_worker.tick": "ticked",
    "release_worker.deliver": "deliver_events",
}
every_chore = pytest.mark.parametrize("chore", CHORES)


def test_the_worker_has_a_function_for_each_chore_and_no_other() -> None:
    assert CARRIED_OUT_BY.keys() == CHORES.keys(), "worker/chores.py"
    for name, function in CARRIED_OUT_BY.items():
        assert name == f"release_worker.{function.__name__}"


@every_chore
def test_beat_sends_a_chore_as_often_as_its_limit_says(chore: str) -> None:
    assert CHORES[chore] in {field.name for field in fields(Limits)}, "domain/limits.py"
    entry = WORKER["beat_schedule"][chore.removeprefix("release_worker.")]
    assert (entry["task"], entry["schedule"]) == (chore, getattr(given_settings().limits, CHORES[chore]))
    assert entry["options"]["queue"] == WORKER["task_routes"][chore]["queue"] == MAINTENANCE


@every_chore
def test_a_chore_is_tried_with_the_rights_of_workers(chore: str) -> None:
    called = CALLED.get(chore, chore.removeprefix("release_worker."))
    assert f" {called}(users.worker" in read("tests/integration/store/test_grants.py")


@every_chore
def test_the_page_of_tasks_says_what_a_chore_does(chore: str) -> None:
    assert f"`{chore}`" in read("docs/reference/tasks.md")
