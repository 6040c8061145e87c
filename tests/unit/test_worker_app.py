"""Where the worker's Celery settings come from."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_worker.broker.routing import SWEEP
from release_worker.worker.app import make_app


@pytest.fixture
def celeryconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The `celeryconfig.py` of the directory that the worker starts in, which is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", "redis://broker.test/0")
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    yield tmp_path / "celeryconfig.py"
    sys.modules.pop("celeryconfig", None)


def test_a_deployments_celeryconfig_comes_on_top_of_the_packages_settings(celeryconfig: Path) -> None:
    celeryconfig.write_text("import os\nworker_soft_shutdown_timeout = 5\nworker_concurrency = 3\n")

    settings = make_app().conf

    assert settings.worker_soft_shutdown_timeout == 5
    assert settings.worker_concurrency == 3
    assert settings.task_acks_late is True
    assert settings.broker_url == "redis://broker.test/0"
    assert "os" not in settings


def test_a_celeryconfig_finds_what_lies_beside_it(celeryconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (celeryconfig.parent / "numbers_of_ours.py").write_text("CHILDREN = 7\n")
    celeryconfig.write_text("from numbers_of_ours import CHILDREN as worker_concurrency\n")
    monkeypatch.delitem(sys.modules, "numbers_of_ours", raising=False)

    assert make_app().conf.worker_concurrency == 7


def test_beats_schedule_routes_and_transport_options_of_a_deployment_are_added_to_ours(celeryconfig: Path) -> None:
    celeryconfig.write_text(
        "beat_schedule = {'nightly': {'task': 'theirs.nightly', 'schedule': 60.0}}\n"
        "task_routes = {'theirs.*': {'queue': 'theirs'}}\n"
        "broker_transport_options = {'global_keyprefix': 'team:', 'socket_timeout': 3}\n"
    )

    made = make_app()
    settings = made.conf

    assert settings.beat_schedule["sweep"]["task"] == SWEEP
    assert settings.beat_schedule["nightly"]["task"] == "theirs.nightly"
    options = settings.broker_transport_options
    assert (options["global_keyprefix"], options["socket_timeout"], options["visibility_timeout"]) == ("team:", 3, 300)
    router = made.amqp.router
    assert router.query_router(router.routes[0], "theirs.nightly", (), {}, {}, None)["queue"] == "theirs"
    assert router.query_router(router.routes[1], "release_worker.rollback", (), {}, {}, None)["queue"] == "rollbacks"


ROUTES = {
    "a router": "{router}",
    "a map": "{{'theirs.*': {{'queue': 'maintenance'}}}}",
    "several": "[{router}, {{'others.*': {{'queue': 'releases'}}}}]",
    "a tuple with a map": "({{'theirs.*': {{'queue': 'maintenance'}}}},)",
    "pairs": "([('theirs.*', {{'queue': 'maintenance'}})],)",
}


@pytest.mark.parametrize("form", ROUTES)
def test_routes_may_have_any_form_that_celery_takes(celeryconfig: Path, form: str) -> None:
    router = "lambda name, *_, **__: {'queue': 'maintenance'} if name.startswith('theirs') else None"
    celeryconfig.write_text(f"task_routes = {ROUTES[form].format(router=router)}\n")

    made = make_app()

    found = {name: made.amqp.router.route({}, name)["queue"].name for name in ("theirs.one", "release_worker.rollback")}
    assert found == {"theirs.one": "maintenance", "release_worker.rollback": "rollbacks"}


def test_a_setting_that_is_none_takes_nothing_away(celeryconfig: Path) -> None:
    celeryconfig.write_text("beat_schedule = task_routes = broker_transport_options = None\n")

    made = make_app()

    assert "sweep" in made.conf.beat_schedule
    assert made.conf.broker_transport_options["visibility_timeout"] == 300
    assert made.amqp.router.route({}, "release_worker.rollback")["queue"].name == "rollbacks"


def test_an_entry_of_ours_can_be_changed_by_its_name(celeryconfig: Path) -> None:
    celeryconfig.write_text(f"beat_schedule = {{'sweep': {{'task': '{SWEEP}', 'schedule': 11.0}}}}\n")

    assert make_app().conf.beat_schedule["sweep"]["schedule"] == 11.0


@pytest.mark.parametrize(
    "queues", ["[Queue('theirs'), Queue('releases', durable=False)]", "{'theirs': {}, 'releases': {'durable': False}}"]
)
def test_queues_of_a_deployment_are_added_to_ours(celeryconfig: Path, queues: str) -> None:
    celeryconfig.write_text(f"from kombu import Queue\ntask_queues = {queues}\n")

    found = {queue.name: queue.durable for queue in make_app().conf.task_queues}

    assert found == {"rollbacks": True, "maintenance": True, "theirs": True, "releases": False}
