"""Whatever runs side by side, the outcome is that of one order or the other."""

import pytest

from tests.interleavings.catalogue import Pair, pairs_of
from tests.interleavings.judge import report
from tests.interleavings.stage import Stage
from tests.interleavings.trying import try_pair


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each pair."""
    pairs = pairs_of(metafunc.config)
    metafunc.parametrize("pair", pairs, ids=[f"{first.name} + {second.name}" for first, second in pairs])


def test_a_pair_ends_as_one_order_or_the_other(stage: Stage, pair: Pair) -> None:
    first, second = pair
    serial, findings = try_pair(stage, first, second)
    if findings:
        pytest.fail(report(first, second, serial, findings), pytrace=False)
