"""docs/architecture.md names rooms, files and names in the code that exist."""

import re

import pytest

from tests.support.repository import ROOT, in_code_style, read

PAGE = read("docs/architecture.md")
SOURCE = ROOT / "src/release_worker"
# A walk through one package names its files without it.
PLACES = (ROOT, SOURCE, SOURCE / "operations/rollback")
NAMED = in_code_style(PAGE)
FILES = sorted({name for name in NAMED if re.fullmatch(r"[\w./]+(/|\.py)", name)})


@pytest.mark.parametrize("name", FILES)
def test_a_file_or_directory_of_the_page_exists(name: str) -> None:
    assert any((place / name).exists() for place in PLACES)


def test_names_in_the_code_exist() -> None:
    words = {word for path in SOURCE.rglob("*.py") for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    named = {
        part for name in NAMED if re.fullmatch(r"[\w.]+", name) and not name.endswith(".py") for part in name.split(".")
    }
    assert {"plan_rollback", "Deployment", "HasReach"} <= named
    assert named - words == set()


def test_all_rooms_are_drawn() -> None:
    drawn = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)[0]
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    rooms |= {"errors", "settings"}
    assert {room for room in rooms if not re.search(rf"^(\w+  )?{room}\b", drawn, flags=re.MULTILINE)} == set()
