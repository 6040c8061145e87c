"""The checklists name files, names in the code and targets that exist."""

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT, in_code_style, make_calls, make_targets, read

# A checklist about the package, or about a directory of tests, names files from there.
PLACES = (ROOT, ROOT / "src/release_worker", ROOT / "tests/integration", ROOT / "tests/acceptance", ROOT / "tests/unit")
PATTERN = "migrations/versions/YYYY_MM_DD_NN_what.py"
NAMED = in_code_style(read("CONTRIBUTING.md"))
FILES = sorted(
    {name for name in NAMED if re.fullmatch(r"[\w./-]+(/|\.(py|md|sql|toml|txt|json|yaml))", name) and name != PATTERN}
)


@pytest.mark.parametrize("name", FILES)
def test_a_file_or_directory_that_a_checklist_names_exists(name: str) -> None:
    assert any((place / name).exists() for place in PLACES)


def test_names_in_the_code_that_are_named_exist() -> None:
    files = [path for place in ("src", "tests") for path in (ROOT / place).rglob("*.py") if path != Path(__file__)]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    named = {name for name in NAMED if name.isidentifier()}
    assert {"BUILT_IN_PARTS", "Work", "only_reads"} <= named
    assert named - words == set()


def test_make_targets_that_are_named_exist() -> None:
    called = {target for name in NAMED for target in make_calls(name)}
    assert {"unit", "check", "test"} <= called <= make_targets()


@pytest.mark.parametrize(
    "checklist",
    [
        "component",
        "captured column",
        "kind of request",
        "command",
        "migration",
        "setting",
        "setting of a client",
        "chore",
        "type of event",
        "metric",
        "check of the doctor",
    ],
)
def test_there_is_a_checklist(checklist: str) -> None:
    assert f"\n## Adding a {checklist}\n" in read("CONTRIBUTING.md")


def test_there_is_a_checklist_of_an_argument() -> None:
    assert "\n## Adding an argument to a kind\n" in read("CONTRIBUTING.md")
