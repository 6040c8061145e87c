"""What happens when two rules meet: a prune and a request that names what it is about to take, and a request that comes
before another one that is at work already."""

import pytest
from sqlalchemy import Engine

from tests.support.billing import a_full_toolset
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)
