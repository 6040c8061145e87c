"""`release-worker demo`, as whoever tries the package first runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_worker.demo.app import GitHubApp
from release_worker.demo.catalogue import read_catalogue
from release_worker.demo.checks import check_catalogue
from release_worker.demo.database import Database
from release_worker.embedded.process import eventually

RELEASE_WORKER = [sys.executable, "-c", "from release_worker.cli.main import main; main()"]
WIDEST = 100

# Somebody's own servers, where nothing listens.
FOREIGN = {
    "RELEASE_WORKER_DATABASE_URL": "postgresql://somebody@127.0.0.1:1/theirs",
    "RELEASE_WORKER_BROKER_URL": "redis://127.0.0.1:1/0",
    "RELEASE_WORKER_RESULT_BACKEND": "redis://127.0.0.1:1/0",
    "RELEASE_WORKER_REDIS_URL": "redis://127.0.0.1:1/0",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "PGHOST": "127.0.0.1",
    "PGPORT": "1",
}

EDIT_A_DEFINITION = """
    UPDATE tool_definitions SET definition = '{}' WHERE urn = 'tools:http:github:meta_get_zen'
    AND deployment_id = (SELECT active_deployment_id FROM projects WHERE id = %(project)s)
"""

# The demo, but that somebody edits a definition between the rollback and the look at what became of it.
SABOTAGED = f"""
from release_worker.demo import checks
from release_worker.cli.main import main

check_rollback = checks.check_rollback

def edit_and_check(database, edited):
    database.rows('''{EDIT_A_DEFINITION}''')
    return check_rollback(database, edited)

checks.check_rollback = edit_and_check
main()
"""


@pytest.fixture
def strange_place(tmp_path: Path) -> Path:
    """A working directory with another project's Celery configuration in it."""
    (tmp_path / "celeryconfig.py").write_text("raise RuntimeError('not ours')")
    return tmp_path


# However late a signal comes, it finds the demo at work.
ENDLESS = """
from itertools import count
from release_worker.demo.story import Story
from release_worker.cli.main import main

plan = Story._plan
Story._plan = lambda story: [plan(story) for _ in count()]
main()
"""


def run_demo(place: Path, *arguments: str, program: str | None = None) -> subprocess.CompletedProcess[str]:
    command = RELEASE_WORKER if program is None else [sys.executable, "-c", program]
    return subprocess.run([*command, "demo", *arguments], cwd=place, env=environment(), capture_output=True, text=True)


def environment() -> dict[str, str]:
    """No terminal's width, and somebody's own servers."""
    ours = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**ours, **FOREIGN}


def home_of(output: str) -> Path:
    """The directory of the servers, as the first line of the output has it."""
    found = re.search(r"started in (\S+)", output)
    assert found, output
    return Path(found[1])


def processes_of(home: Path) -> list[str]:
    """The command lines that name the directory: those of the servers, and of the worker with its broker's address."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(home) in line]


def assert_nothing_is_left(home: Path) -> None:
    assert not home.exists()
    assert processes_of(home) == []


def test_the_demo_does_the_main_job_and_leaves_nothing_behind(strange_place: Path) -> None:
    ended = run_demo(strange_place, "--json")

    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["ok"]
    assert [(line["kind"], line["tools"]) for line in report["timeline"]] == [
        ("release", 966),
        ("release", 966),
        ("release", 980),
        ("release", 1039),
        ("backup", 1037),
    ]
    assert [line["release_number"] for line in report["timeline"] if line["current"]] == [5]
    there, back = report["rollbacks"]
    assert (there["from_release_number"], there["to_release_number"], there["backup_release_number"]) == (4, 1, 5)
    assert there["counts"]["tools"] == {"removed": 73, "added": 2, "changed": 0}
    assert there["counts"]["deployment/tools"] == {"removed": 73, "added": 0, "changed": 13}
    assert back["counts"]["tools"] == {"removed": 2, "added": 73, "changed": 0}
    assert all(check["ok"] and check["found"] == check["expected"] for check in report["checks"])
    assert report["seconds"] < 60
    assert "✓" in ended.stderr
    assert_nothing_is_left(home_of(ended.stderr))


def test_the_demo_reads_well_in_a_plain_log(strange_place: Path) -> None:
    ended = run_demo(strange_place)

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert max(map(len, ended.stdout.splitlines())) <= WIDEST
    assert "\x1b" not in ended.stdout
    assert "Rolled back to release 1: 73 tools removed, 13 definitions put back, edits in backup 5" in ended.stdout
    assert re.search(r"^ *1 +release +966 ", ended.stdout, re.MULTILINE)
    assert re.search(r"^ *5 +backup +1037 +[0-9a-f]{12} +<- current ", ended.stdout, re.MULTILINE)
    assert "✗" not in ended.stdout
    assert_nothing_is_left(home_of(ended.stdout))


def test_a_claim_that_does_not_hold_fails_the_demo(strange_place: Path) -> None:
    ended = run_demo(strange_place, program=SABOTAGED)

    assert ended.returncode == 1
    assert "Not so (rolled back): definitions put back: expected 13, found 14\n" in ended.stdout
    assert "expected none, found tools:http:github:meta_get_zen\n" in ended.stdout
    assert "The worker's log ends:" in ended.stdout
    assert_nothing_is_left(home_of(ended.stdout))


@pytest.fixture
def running_demo(strange_place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A demo whose worker has answered, which goes on until it is stopped, and the directory of its servers."""
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, "demo"], cwd=strange_place, env=environment(), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        home = home_of(demo.stdout.readline())
        assert "the worker answers" in demo.stdout.readline()
        yield demo, home
        demo.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    running_demo: tuple[subprocess.Popen[str], Path], number: signal.Signals
) -> None:
    demo, home = running_demo
    demo.send_signal(number)
    demo.send_signal(number)  # impatience changes nothing

    assert demo.wait(30) == 128 + number
    assert_nothing_is_left(home)


def test_a_demo_that_is_killed_leaves_no_process_behind(running_demo: tuple[subprocess.Popen[str], Path]) -> None:
    demo, home = running_demo
    assert processes_of(home)
    demo.kill()

    assert eventually(lambda: processes_of(home) == [], within=30)
    shutil.rmtree(home)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database in which the first catalogue is deployed."""
    with Database(database_url) as database:
        app = GitHubApp(database)
        app.set_up()
        app.deploy(read_catalogue("3.17"))
        yield database


def wrong(database: Database) -> dict[str, Any]:
    """What was found, by the claim that it contradicts."""
    return {check.claim: check.found for check in check_catalogue(database, "3.17", when="now") if not check.ok}


def test_all_claims_about_a_deployed_catalogue_hold(database: Database) -> None:
    assert wrong(database) == {}


def test_a_definition_that_was_edited_contradicts_one_claim(database: Database) -> None:
    database.rows(EDIT_A_DEFINITION)

    assert wrong(database) == {"definitions that differ from the file of 3.17": ["tools:http:github:meta_get_zen"]}


def test_a_tool_that_was_moved_contradicts_the_claim_about_their_order(database: Database) -> None:
    database.rows(
        "UPDATE toolset_tools SET position = 2000 WHERE tool_urn = %(urn)s", urn=list(read_catalogue("3.17").tools)[-2]
    )

    assert wrong(database) == {"tools in the order of 3.17": 964}


def test_an_upgrade_changes_what_the_readme_of_the_catalogues_says(database: Database) -> None:
    app = GitHubApp(database)

    for version, added, changed in (("3.18", 14, 5), ("3.19", 59, 8)):
        upgrade = app.deploy(read_catalogue(version))
        assert (upgrade.tools_added, upgrade.definitions_changed) == (added, changed)
