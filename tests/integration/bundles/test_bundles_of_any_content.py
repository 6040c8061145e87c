"""Whatever a toolset holds, a bundle carries it to another database with the digest that it had."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from sqlalchemy import Engine

from release_worker.domain.bundle import read_bundle
from release_worker.store.engine import make_engine
from tests.support.any_toolset import CONTENTS, Content, empty_toolset, write_all
from tests.support.bundles import exported, imported
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.servers import Servers
from tests.support.strategies import examples_in_one_database


@pytest.fixture
def elsewhere(servers: Servers) -> Iterator[Engine]:
    """Another database."""
    with servers.databases.temporary() as url:
        made = make_engine(url)
        yield made
        made.dispose()


@examples_in_one_database(60)
@given(content=CONTENTS)
def test_a_toolset_of_any_content_is_carried_into_an_empty_project_and_back_with_its_digest(
    engine: Engine, elsewhere: Engine, content: Content
) -> None:
    toolset = empty_toolset(engine)
    write_all(toolset, content)
    digest = release(engine, toolset).digest
    bundle = exported(engine, toolset, 1)
    assert read_bundle(bundle).digest == digest

    theirs = empty_toolset(elsewhere)
    there = imported(elsewhere, bundle, theirs)
    assert there.digest == digest
    assert live_state(elsewhere, theirs) == live_state(engine, toolset)

    returned = empty_toolset(engine)
    assert imported(engine, exported(elsewhere, theirs, there.release_number), returned).digest == digest
    assert live_state(engine, returned) == live_state(engine, toolset)
