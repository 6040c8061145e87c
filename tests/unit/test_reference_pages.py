"""The pages of `docs/reference` that the code writes say what it says now."""

from importlib import import_module

import pytest

from tests.support.golden import assert_golden
from tests.support.repository import ROOT

PAGES = ("client", "commands", "errors", "fixtures", "metrics", "settings", "tables", "tasks")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_the_code_writes_is_up_to_date(name: str, renew: bool) -> None:
    page = import_module(f"tests.support.reference.{name}").page()
    assert_golden(f"{name}.md", page, renew=renew, directory=ROOT / "docs/reference")
