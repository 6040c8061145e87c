"""What the pages show is what happens: each command and each program runs, and prints what the page says."""

from itertools import zip_longest
from pathlib import Path

import pytest

from tests.pages.masks import ID, alike, masked, replaced, with_a_persons_name
from tests.pages.page import Block, Step, blocks_of, with_outputs
from tests.pages.pictures import svg_of, text_of
from tests.pages.running import Runner
from tests.support.repository import ROOT

RENEW = ".venv/bin/python -m pytest tests/pages --renew-golden"
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if blocks_of(path)]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_shows_what_happens(page: Path, runner: Runner, renew: bool) -> None:
    reading = Reading(page, runner, renew=renew)
    for block in blocks_of(page):
        reading.run(block)
    if renew:
        page.write_text(with_outputs(page, reading.outputs), encoding="utf-8")


class Reading:
    """One run of a page. Ids on the page stand for those of this run."""

    def __init__(self, page: Path, runner: Runner, *, renew: bool) -> None:
        self._page, self._runner, self._renew = page, runner, renew
        self._shown_as: dict[str, str] = {}
        self.outputs: list[list[str]] = []

    def run(self, block: Block) -> None:
        """Run a block, and compare or keep what it prints."""
        *steps, last = block.steps
        outputs = [self._step(block, step) for step in steps]
        self.outputs.append([*outputs, self._step(block, last, picture=block.picture)])

    def _step(self, block: Block, step: Step, *, picture: str | None = None) -> str:
        """The output for the page: its own, as long as only what differs from run to run is different."""
        source = replaced(step.source, {shown: actual for actual, shown in self._shown_as.items()})
        if block.file is not None:
            self._runner.write(block.file, source)
            return ""
        printed = (
            self._runner.program(source)
            if block.language == "python"
            else self._runner.command(source, colours=picture is not None)
        )
        self._meet(ID.findall(printed), ID.findall(step.output))
        shown = replaced(with_a_persons_name(printed), self._shown_as)
        if picture is not None:
            self._picture(self._page.parent / picture, step.source, shown)
            return ""
        if alike(shown, step.output):
            return step.output
        difference = f"{_name(self._page)}, line {block.line}\n$ {step.source}\n{shown}\nTo renew it: {RENEW}"
        assert self._renew, difference
        return _ended(shown)

    def _meet(self, actual: list[str], shown: list[str]) -> None:
        """Learn which ids on the page stand for ids of this run that were not met before."""
        for one, on_page in zip_longest(actual, shown[: len(actual)]):
            taken = on_page is None or on_page in self._shown_as.values()
            self._shown_as.setdefault(one, one if taken else on_page)

    def _picture(self, picture: Path, command: str, shown: str) -> None:
        """Compare what the picture says, or draw it anew."""
        drawn = svg_of(command, shown, picture.stem)
        former = picture.read_text(encoding="utf-8") if picture.exists() else ""
        now, before = text_of(drawn), text_of(former)
        if alike(now, before) or masked(now).split() == masked(before).split():  # wherever lines are broken
            return
        assert self._renew, f"{_name(picture)} shows something else. To renew it: {RENEW}"
        picture.write_text(drawn, encoding="utf-8")


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
