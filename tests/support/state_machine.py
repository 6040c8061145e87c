"""The table of docs/state-machine.md."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"

# From None: a row that is not there yet.
Transition = tuple[str | None, str]


def transitions_of_the_page() -> dict[str, Transition]:
    """The page's transitions, by name."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "→" in line]
    named = {name: change.split(" → ") for name, change, *_ in cells if change != "from → to"}
    return {name: (before if before.isalpha() else None, after) for name, (before, after) in named.items()}
