"""The quick tests that judge mutants exist."""

import pytest

from tests.mutants import ROOMS
from tests.support.repository import ROOT


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_judged_by_tests_that_exist(room: str) -> None:
    assert ROOMS[room].tests
    assert [test for test in ROOMS[room].tests if not (ROOT / test).is_file()] == []
