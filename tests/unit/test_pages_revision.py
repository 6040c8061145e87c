"""Pages show the revision of the schema that a reader gets. What runs them does not compare it: each migration would
then fail them all."""

import re
from pathlib import Path

import pytest

from release_worker.store.schema_version import known_revisions
from tests.support.golden import assert_golden
from tests.support.repository import ROOT

_REVISION = re.compile(r"(?<=revision )\d{4}_\w+")
_SHOWING = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.parent.name != "decisions" and _REVISION.search(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("page", _SHOWING, ids=lambda page: page.name)
def test_a_page_that_shows_a_revision_shows_the_newest(page: Path, renew: bool) -> None:
    newest = _REVISION.sub(known_revisions()[-1], page.read_text(encoding="utf-8"))
    assert_golden(page.name, newest, renew=renew, directory=page.parent)


def test_some_pages_show_a_revision() -> None:
    assert {"upgrade.md", "deploy.md", "share-a-database.md", "first-rollback.md"} <= {page.name for page in _SHOWING}
