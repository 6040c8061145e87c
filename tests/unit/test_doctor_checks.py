"""The page of the doctor lists each check, in the order in which they are told."""

import re

from release_worker.doctor.checks import CHECKS
from tests.support.repository import read


def test_the_page_lists_each_check() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", read("docs/how-to/find-what-is-wrong.md"), re.MULTILINE)
    assert listed == [check.name for check in CHECKS]


def test_checks_of_a_group_stand_together() -> None:
    groups = [check.group for check in CHECKS]
    assert groups == sorted(groups, key=groups.index)
