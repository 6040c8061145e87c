"""No Docker engine is at hand, so the compose file is held to what it must say."""

from pathlib import Path

import yaml

from release_worker.domain.limits import DEFAULTS

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))


def test_the_compose_file_starts_the_whole_system() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "valkey", "migrate", "worker", "beat", "flower"}


def test_the_brokers_data_survives_and_is_never_evicted() -> None:
    assert COMPOSE["services"]["valkey"]["command"][1:] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]


def test_a_worker_that_is_stopped_may_finish_what_runs() -> None:
    """A soft shutdown, what Celery needs around it, and then the process may be killed."""
    grace = int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace >= DEFAULTS.soft_shutdown_timeout + 30


def test_workers_wait_for_the_schema_and_find_their_servers() -> None:
    for name in ("worker", "beat", "flower"):
        service = COMPOSE["services"][name]
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert {"RELEASE_WORKER_DATABASE_URL", "RELEASE_WORKER_BROKER_URL"} <= service["environment"].keys()
