"""Where the worker's Celery settings come from."""

import sys
from pathlib import Path

import pytest

from release_worker.worker.app import make_app


def test_a_deployments_celeryconfig_comes_on_top_of_the_packages_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "celeryconfig.py").write_text("worker_soft_shutdown_timeout = 5\nworker_concurrency = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", "redis://broker.test/0")

    settings = make_app().conf
    soft_shutdown_timeout = settings.worker_soft_shutdown_timeout
    sys.modules.pop("celeryconfig")

    assert soft_shutdown_timeout == 5
    assert settings.worker_concurrency == 3
    assert settings.task_acks_late is True
    assert settings.broker_url == "redis://broker.test/0"
