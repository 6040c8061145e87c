"""A client that was used before a fork is used after it, by the parent and by its children at once."""

import json
import subprocess
import sys

import pytest

from tests.support.billing import a_full_toolset
from tests.support.forking import ROUNDS
from tests.support.workers import ROOT, Service
from tests.support.world import Toolset


@pytest.mark.parametrize("database", [True, False], ids=["with a database", "without"])
def test_parent_and_children_each_get_their_own_answers(served: Service, billing: Toolset, database: bool) -> None:
    slug = billing.project.organization.slug
    children = [a_full_toolset(served.engine, organization=f"{slug}-{number}") for number in range(3)]
    environment = served.environment
    if not database:
        del environment["RELEASE_WORKER_DATABASE_URL"]

    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.forking", *(one.path for one in (billing, *children))],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.stderr == ""
    assert ended.returncode == 0
    told = json.loads(ended.stdout)
    before = [str(billing.id), 1]
    first, *others = told[billing.path]
    assert first == before
    assert sorted(others) == [[str(billing.id), 2 + number] for number in range(2 * ROUNDS)]
    for child in children:
        first, *others = told[child.path]
        assert first == before
        assert sorted(others) == [[str(child.id), 1 + number] for number in range(3 * ROUNDS)]
