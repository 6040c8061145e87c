"""Decisions are numbered once each, without a gap, and their titles have the numbers of their files."""

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PAGES = sorted(path for path in (ROOT / "docs/decisions").glob("*.md") if path.name != "README.md")


def test_each_number_belongs_to_one_decision_and_none_is_left_out() -> None:
    numbers = [int(page.name.partition("-")[0]) for page in PAGES]
    assert numbers == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_title_of_a_decision_has_the_number_of_its_file(page: Path) -> None:
    title = page.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"# {int(page.name.partition('-')[0])}\. \w", title)
