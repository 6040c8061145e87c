"""What the tests of schedules share."""

import pytest
from sqlalchemy import Engine

from tests.support.billing import a_full_toolset
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)
