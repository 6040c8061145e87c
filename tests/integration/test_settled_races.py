"""What happens when two rules meet: a prune and a request that names what it is about to take, and a request that comes
before another one that is at work already."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from release_worker.errors import TransientError
from release_worker.store.accepting import accept_request
from release_worker.store.engine import make_engine
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, end_leases, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import drift, release
from tests.support.plug_ins import Once, interrupted_by
from tests.support.records import assert_numbers_and_chain_complete, current_number, releases_of, rollbacks_of
from tests.support.requests import a_request
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)
