"""A client has the settings that it is given, by whichever way, and no others."""

import inspect
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine

from release_worker import AsyncReleaseClient, ReleaseClient, django
from release_worker.cli.live_client import database_client
from release_worker.django import DjangoReleaseClient
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import NotConfigured
from release_worker.settings import PREFIX, Settings
from release_worker.testing import FakeReleaseClient
from release_worker.testing.running.service import Service

BROKER = "sentinel://broker.test:26379/0"
# An argument of the client: what the environment says of it, and what the client's settings then hold. None of them is
# a default. Whoever adds an argument adds its line here, and finds what else it needs in CONTRIBUTING.md.
GIVEN = {
    "broker_url": {"BROKER_URL": BROKER},
    "result_backend": {"RESULT_BACKEND": "sentinel://results.test:26379/1"},
    "database_url": {"DATABASE_URL": "postgresql+psycopg://db.test/app"},
    "prepared_statements": {"PREPARED_STATEMENTS": "false"},
    "sentinel": {"SENTINEL_MASTER": "mymaster", "SENTINEL_PASSWORD": "hunter2"},
    "schema": {"SCHEMA": "ours"},
    "secret_keys": {"SECRET_KEYS": "*pin*"},
}
VARIABLES = {name: value for named in GIVEN.values() for name, value in named.items()}
FIELDS = [name for name in Settings.model_fields if name.upper().replace("DATABASE_SCHEMA", "SCHEMA") in VARIABLES]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    return monkeypatch


def arguments() -> set[str]:
    return inspect.signature(ReleaseClient.__init__).parameters.keys() - {"self"}


def held(client: ReleaseClient) -> dict[str, object]:
    return {name: getattr(client._settings, name) for name in FIELDS}


def test_the_tests_know_each_argument_of_a_client() -> None:
    assert GIVEN.keys() == arguments(), "a line in GIVEN"


def test_the_environment_says_what_each_argument_would(environment: pytest.MonkeyPatch) -> None:
    by_hand = ReleaseClient(
        broker_url=BROKER,
        result_backend="sentinel://results.test:26379/1",
        database_url="postgresql+psycopg://db.test/app",
        prepared_statements=False,
        sentinel=Sentinel("mymaster", "hunter2"),
        schema="ours",
        secret_keys="*pin*",
    )
    defaults = held(ReleaseClient(broker_url="memory://"))
    assert all(value != defaults[name] for name, value in held(by_hand).items())
    assert held(ReleaseClient.from_env()) == held(by_hand)
    assert held(AsyncReleaseClient.from_env()._client) == held(by_hand)


def test_a_command_that_needs_no_worker_has_all_of_them_but_the_broker(environment: pytest.MonkeyPatch) -> None:
    with database_client() as client:
        assert held(client) == {**held(ReleaseClient.from_env()), "broker_url": "memory://"}
    environment.delenv(f"{PREFIX}DATABASE_URL")
    with pytest.raises(NotConfigured, match="DATABASE_URL is not set"), database_client():
        pass


def test_a_client_that_is_given_its_settings_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = held(ReleaseClient(broker_url="redis://broker.test/0"))
    for name in ("DRIFT_INTERVAL", "LEASE_SECONDS", "SOFT_TIME_LIMIT", "DATABASE_URL"):
        monkeypatch.setenv(f"{PREFIX}{name}", "x")
    monkeypatch.setenv(f"{PREFIX}BROKER_PASSWORD", "hunter2")
    monkeypatch.setenv(f"{PREFIX}SECRET_KEYS", "*pin*")
    assert held(ReleaseClient(broker_url="redis://broker.test/0")) == before
    assert held(AsyncReleaseClient(broker_url="redis://broker.test/0")._client) == before
    assert FakeReleaseClient().create_release("acme/payments/billing", actor="ci").result().release_number == 1


def test_the_client_of_a_fixture_hides_what_its_worker_hides() -> None:
    more = {"secret_keys": "*pin*", "schema": "ours"}
    client = Service(create_engine("sqlite://"), "postgresql+psycopg://db.test/app", "memory://", more).client()
    assert (client._settings.secret_keys, client._settings.database_schema) == ("*pin*", "ours")


def test_django_takes_each_argument_of_a_client() -> None:
    assert {*django._ARGUMENTS, "sentinel"} == arguments(), "_ARGUMENTS in django.py"


def test_django_hands_each_argument_on(environment: pytest.MonkeyPatch) -> None:
    named = {**VARIABLES, "PREPARED_STATEMENTS": False}
    configured = SimpleNamespace(RELEASE_WORKER=named, DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}})
    environment.setattr(django, "settings", configured)
    assert held(DjangoReleaseClient.from_settings()) == held(ReleaseClient.from_env())
    named["SENTINEL"] = "mymaster"
    with pytest.raises(NotConfigured, match=r"unknown settings: SENTINEL$"):
        DjangoReleaseClient.from_settings()
