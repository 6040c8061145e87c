"""What `make docs` adds to the pages and refuses, and the numbers that a page of reference says by hand."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from release_worker.domain import changes
from release_worker.domain.canonical_json import DEEPEST
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.requests import fields
from tests.support.repository import ROOT, read


def _extension() -> Any:
    spec = spec_from_file_location("extension", ROOT / "docs/extension.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXTENSION = _extension()


def test_the_contents_of_an_index_page_are_what_its_lists_link_to_in_their_order() -> None:
    index = "# Guides\n\n[Elsewhere](elsewhere.md)\n\n- [Two](two.md): second\n- [One](../one.md)\n"
    assert EXTENSION.contents(index) == "\n```{toctree}\n:hidden:\n\n\ntwo\n../one\n```\n"


def test_an_index_page_without_links_has_all_pages_of_its_directory() -> None:
    assert EXTENSION.contents("# Decisions\n") == "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.test/a.js"></script>',
        '<link rel="stylesheet" type="text/css" href="https://cdn.test/a.css" />',
        '<img alt="x" src="http://pictures.test/x.png">',
        '@font-face { src: url("https://fonts.test/a.woff2") }',
        "@import url(https://fonts.test/a.css);",
    ],
)
def test_what_is_loaded_from_elsewhere_is_noticed(text: str) -> None:
    assert EXTENSION.loads_from_elsewhere(text)


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://docs.test/">a link</a>',
        '<script src="_static/a.js"></script>',
        '<svg xmlns="http://www.w3.org/2000/svg">',
    ],
)
def test_links_and_files_of_the_site_are_not_loaded_from_elsewhere(text: str) -> None:
    assert not EXTENSION.loads_from_elsewhere(text)


def test_the_limits_on_the_page_of_limitations_are_those_of_the_code() -> None:
    page = read("docs/reference/limitations.md")
    rows = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", page, re.MULTILINE))
    assert rows["nested arrays and objects around a value in captured content or labels"] == str(DEEPEST)
    assert rows["notes, reason"] == f"{fields.LONGEST_TEXT:,} characters"
    assert rows["labels of a release"] == f"{fields.LARGEST_LABELS:,} bytes of JSON"
    assert rows["attempts of a request, over all workers"] == str(DEFAULTS.attempts)
    [told] = [limit for what, limit in rows.items() if what.startswith("changes that a result names")]
    assert told.startswith(
        f"{changes.TOLD_KEYS:,} keys added, {changes.TOLD_KEYS:,} removed, {changes.TOLD_ITEMS:,} changed"
    )
