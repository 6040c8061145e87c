"""A password of its own setting, whatever its characters, reaches the servers that it is for and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from redis import Redis

from release_worker.settings import given_settings

PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(password=PASSWORDS, user=st.sampled_from(["", "someone"]))
def test_a_password_of_any_characters_reaches_kombu_and_redis(password: str, user: str) -> None:
    at = f"{user}@" if user else ""
    settings = given_settings(
        broker_url=f"redis://{at}broker.test:6379/0",
        result_backend=f"redis://{at}broker.test:6379/1",
        broker_password=password,
    )
    assert settings.broker_url is not None
    assert settings.result_backend is not None
    assert Connection(settings.broker_url).password == password
    assert settings.lock_url is not None
    for url in (settings.lock_url, settings.result_backend):
        found = Redis.from_url(url).connection_pool.connection_kwargs
        assert (found["password"], found.get("username", ""), found["host"]) == (password, user, "broker.test")


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("broker_url", "redis://:own@broker.test/0"),
        ("redis_url", "redis://another.test/0"),
        ("result_backend", "db+postgresql://user@another.test/app"),
        ("redis_url", "unix:///run/redis.sock"),
    ],
)
def test_a_url_with_a_password_or_another_host_keeps_what_it_has(setting: str, url: str) -> None:
    given = {"broker_url": "redis://broker.test/0", setting: url}
    assert getattr(given_settings(**given, broker_password="hunter2"), setting) == getattr(
        given_settings(**given), setting
    )


def test_each_of_several_brokers_gets_it() -> None:
    settings = given_settings(broker_url="amqp://me@one.test//;amqp://me@two.test//", broker_password="p/@")
    assert settings.broker_url == "amqp://me:p%2F%40@one.test//;amqp://me:p%2F%40@two.test//"


def test_a_password_alone_changes_nothing_and_is_not_shown() -> None:
    settings = given_settings(broker_password="hunter2")
    assert settings.broker_url is None
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(given_settings(broker_password="hunter2", broker_url="redis://broker.test/0"))


def test_certificates_are_still_checked() -> None:
    settings = given_settings(broker_url="rediss://broker.test/0", broker_password="p?&#")
    assert settings.broker_url == "rediss://:p%3F%26%23@broker.test/0?ssl_cert_reqs=required"
