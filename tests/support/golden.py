"""Files that show something whole, so that a change of it is seen and meant: in `unit/golden`, and pages in `docs`."""

from difflib import unified_diff
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "unit/golden"
RENEW = ".venv/bin/python -m pytest tests/unit --renew-golden"


def assert_golden(name: str, text: str, *, renew: bool, directory: Path | None = None) -> None:
    """Fail with the difference if the file says something else; with `renew`, write it."""
    path = (directory or GOLDEN) / name
    if renew:
        path.write_text(text, encoding="utf-8")
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    if golden != text:
        lines = unified_diff(
            golden.splitlines(), text.splitlines(), f"{path.parent.name}/{name}", "the code", lineterm=""
        )
        message = "\n".join(lines) or "they differ in line ends only"
        raise AssertionError(f"{message}\n\nIf this is meant, renew the file and commit it: {RENEW}")
