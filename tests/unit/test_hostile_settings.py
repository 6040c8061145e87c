"""Whatever the environment says: settings, or one clear error; and never a secret in either."""

import os
import traceback
from collections.abc import Callable
from typing import TypeVar
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from release_worker import ReleaseClient
from release_worker.errors import NotConfigured
from release_worker.settings import PREFIX, given_settings, read_settings
from release_worker.store.engine import make_engine
from tests.support.strategies import examples

NAMES = ("DATABASE_URL", "BROKER_URL", "RESULT_BACKEND", "REDIS_URL")
LIMITS = ("SOFT_TIME_LIMIT", "HARD_TIME_LIMIT", "VISIBILITY_TIMEOUT", "LEASE_SECONDS")
SECRET = "hunter2"

# What the environment can hold.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
SCHEMES = st.sampled_from(
    [
        *("redis", "rediss", "unix", "redis+socket", "REDIS", "sentinel", "amqp", "sqs", "memory", "rpc", "no-such"),
        *("postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg", "sqlite", "mysql", "db+sqlite", ""),
    ]
)
HOSTS = st.sampled_from(["localhost", "127.0.0.1:1", "[::1]:1", "[::1", "host:port", "host:99999", "", "%zz", "é"])
PATHS = st.sampled_from(["", "/", "/0", "/x", "/0?db=1", "/db?sslmode=no", "?virtual_host=/", "/0;redis://", "//"])


@st.composite
def urls(draw: st.DrawFn) -> str:
    """What is a URL, or nearly one; its password, where it has one, is the secret."""
    user = draw(st.sampled_from(["", f"user:{SECRET}@", f":{SECRET}@", f"us/er:{SECRET}@", f"u:p:{SECRET}@@"]))
    return f"{draw(SCHEMES)}://{user}{draw(HOSTS | WORDS)}{draw(PATHS | WORDS)}"


VALUES = urls() | WORDS | WORDS.map(lambda word: f"{word}{SECRET}{word}")
NUMBERS = st.integers().map(str) | st.integers(1, 1000).map(str)
ENVIRONMENTS = st.builds(
    lambda servers, limits: {**servers, **limits},
    st.dictionaries(st.sampled_from(NAMES), VALUES),
    st.dictionaries(st.sampled_from(LIMITS), NUMBERS | VALUES),
)


# A password with unescaped characters in it, and what is not of it.
MISREAD = st.builds(
    "{}:{}@{}@{}".format,
    st.sampled_from(["user", "", "us@er"]),
    st.sampled_from(["p", "p/q", "p:q", "p?q", ""]),
    st.sampled_from([SECRET, f"{SECRET}/x", f"{SECRET}:1", f"{SECRET}/x:y"]),
    st.sampled_from(["host", "host:5432", "[::1]:5432", "127.0.0.1"]),
)
T = TypeVar("T")


def made_or_refused(make: Callable[[], T]) -> tuple[T | None, NotConfigured | None]:
    """What was made, or the error, of which all that a log could show is free of secrets."""
    try:
        return make(), None
    except NotConfigured as error:
        refused = error
    shown = f"{refused!r} {refused} {traceback.format_exception(refused)} {refused.details}"
    assert SECRET not in shown
    return None, refused


@example({"DATABASE_URL": f"postgresql://user:{SECRET}@host/database", "BROKER_URL": f"redis://:{SECRET}@host/0"})
@example({"BROKER_URL": f"rediss://:{SECRET}@[::1/0"})
@example({"REDIS_URL": f"http://:{SECRET}@host"})
@example({"BROKER_URL": "sentinel://localhost"})
@given(environment=ENVIRONMENTS)
def test_any_environment_gives_settings_or_says_which_of_them_is_wrong(environment: dict[str, str]) -> None:
    with patch.dict(os.environ, {f"{PREFIX}{name}": value for name, value in environment.items()}, clear=True):
        settings, refused = made_or_refused(read_settings)
    if refused is not None:
        # One that was given, or one that an address of Sentinel needs besides.
        wrong = [name for name in (*environment, "SENTINEL_MASTER") if f"{PREFIX}{name}" in refused.details["setting"]]
        assert wrong
        return
    assert settings is not None
    assert SECRET not in f"{settings!r} {settings}"
    for name in (*NAMES, *LIMITS):
        assert (getattr(settings, name.lower()) is None) == (not environment.get(name))


@examples(50)
@given(broker=VALUES, backend=st.none() | VALUES)
def test_any_address_gives_a_client_or_says_that_it_cannot_be_used(broker: str, backend: str | None) -> None:
    client, _ = made_or_refused(lambda: ReleaseClient(broker_url=broker, result_backend=backend))
    assert SECRET not in f"{client!r} {client}"
    if client is not None:
        client.close()


@given(url=VALUES)
def test_any_database_address_gives_an_engine_or_says_that_it_cannot_be_used(url: str) -> None:
    engine, _ = made_or_refused(lambda: make_engine(url))
    if engine is not None and engine.url.password == SECRET:
        assert SECRET not in repr(engine)


@example(misread=f"user:p@{SECRET}@host", path="/db")
@given(misread=MISREAD, path=st.sampled_from(["/db", "", "/db?application_name=a@b"]))
def test_an_unescaped_at_in_a_database_password_is_said_to_be_one(misread: str, path: str) -> None:
    _, refused = made_or_refused(lambda: make_engine(f"postgresql+psycopg://{misread}{path}"))
    assert refused is not None
    assert "%40" in str(refused)
    for word in (SECRET, "host", "p@"):
        assert word not in str(refused)


@pytest.mark.parametrize(
    ("url", "password", "host"),
    [
        ("postgresql://user:p%40ss@host:5432/db", "p@ss", "host"),
        ("postgresql://user@server:pass@host/db", "pass", "host"),
        ("postgresql://user:pass@/db?host=/var/run/a@b", "pass", None),
        ("postgresql://host/db", None, "host"),
    ],
)
def test_a_database_address_that_is_read_as_it_is_meant_is_taken(
    url: str, password: str | None, host: str | None
) -> None:
    made = make_engine(str(given_settings(database_url=url).database_url))
    assert (made.url.password, made.url.host) == (password, host)


@pytest.mark.parametrize("setting", ["broker_url", "result_backend"])
@pytest.mark.parametrize(
    "url",
    [
        f"amqp://user:p@{SECRET}/q@host//",
        f"amqp://user:12/{SECRET}@host//",
        f"amqp://user:1#{SECRET}@host//",
        f"redis://:p@{SECRET}/q@host/0",
        f"redis://:p/{SECRET}@host/0",
    ],
)
def test_a_broker_address_that_would_be_misread_is_refused(setting: str, url: str) -> None:
    _, refused = made_or_refused(lambda: given_settings(**{setting: url}))
    assert refused is not None
    assert "%40" in str(refused)
    assert "host" not in str(refused)


def test_an_at_in_a_redis_password_is_read_as_it_is_meant() -> None:
    url = f"redis://:p@{SECRET}@host:1/0"
    with ReleaseClient(broker_url=url) as client:
        connection = client._connections.own().app.connection_for_write()
        assert (connection.password, connection.hostname) == (f"p@{SECRET}", "host")
