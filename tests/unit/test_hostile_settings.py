"""Whatever the environment says: settings, or one clear error; and never a secret in either."""

import os
import traceback
from collections.abc import Callable
from typing import TypeVar
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from release_worker import ReleaseClient
from release_worker.errors import NotConfigured
from release_worker.settings import PREFIX, read_settings
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
@given(environment=ENVIRONMENTS)
def test_any_environment_gives_settings_or_says_which_of_them_is_wrong(environment: dict[str, str]) -> None:
    with patch.dict(os.environ, {f"{PREFIX}{name}": value for name, value in environment.items()}, clear=True):
        settings, refused = made_or_refused(read_settings)
    if refused is not None:
        assert [name for name in environment if f"{PREFIX}{name}" in refused.details["setting"]]
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
