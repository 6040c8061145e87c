"""Whatever was released, edited, rolled back, pinned and pruned before: after each prune, history is whole."""

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.support.ledger import ask
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.records import current_number
from tests.support.retention import History, assert_kept, assert_no_garbage, assert_versions_chained, pin, prune
from tests.support.strategies import examples_in_one_database
from tests.support.world import Toolset, World

VALUES = st.integers(0, 2)  # few, so that content comes back
EDITS: list[Callable[[Toolset, int], object]] = [
    lambda toolset, value: toolset.edit(settings={"value": value}),
    lambda toolset, value: toolset.move_tool("tools:a", value),
    lambda toolset, value: toolset.project.configure("value", value),
    lambda toolset, value: toolset.project.deploy(tools={"tools:a": {"value": value}}),
    lambda toolset, value: toolset.vary("tools:a", {"value": value}),
    lambda toolset, value: toolset.project.organization.vary("tools:a", {"value": value}),
    lambda toolset, value: toolset.project.organization.unvary("tools:a"),
]
WHICH = st.sampled_from([0, 1])
PLACE = st.integers(0, 50)
STEPS = st.one_of(
    st.tuples(st.just("edit"), WHICH, st.sampled_from(range(len(EDITS))), VALUES),
    st.tuples(st.just("edit and release"), WHICH, st.sampled_from(range(len(EDITS))), VALUES),
    st.tuples(st.just("edit and release"), WHICH, st.sampled_from(range(len(EDITS))), VALUES),
    st.tuples(st.just("roll back"), WHICH, PLACE, st.sampled_from([None, ("settings",), ("tools", "system")])),
    st.tuples(st.just("pin"), WHICH, PLACE, st.booleans()),
    st.tuples(st.just("ask"), WHICH, PLACE, st.none()),
    st.tuples(st.just("prune"), WHICH, st.integers(1, 4), st.none()),
)
ORGANIZATIONS = count()


class Story:
    """Two toolsets of one project, and what must become of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        project = World(engine).organization(f"organization-{next(ORGANIZATIONS)}").project("shared")
        project.deploy(tools={"tools:a": {}})
        self.toolsets = [project.toolset(slug, tools=["tools:a"]) for slug in ("first", "second")]
        self.histories = [History(), History()]

    def step(self, what: str, which: int, place: int, value: Any) -> None:
        toolset, history = self.toolsets[which], self.histories[which]
        if what.startswith("edit"):
            EDITS[place](toolset, value)
        if what.endswith("release"):
            self._release(toolset, history)
        if what == "prune":
            assert prune(self.engine, toolset, keep=place).pruned == history.prune(place)
            self.check()
            for one in self.toolsets:  # each prune collects what is its toolset's, also if it removes no release
                prune(self.engine, one, keep=1_000)
            assert_no_garbage(self.engine)
        if history.releases and what in ("roll back", "pin", "ask"):
            number = sorted(history.releases)[place % len(history.releases)]
            match what:
                case "roll back":
                    self._roll_back(toolset, history, number, value)
                case "pin":
                    pin(self.engine, toolset, number, pinned=value)
                    history.releases[number].pinned = value
                case _:
                    ask(self.engine, toolset, "rollback", release_number=number)
                    history.named.add(number)

    def _release(self, toolset: Toolset, history: History) -> None:
        made = release(self.engine, toolset)
        history.add(made.release_number, live_state(self.engine, toolset))
        history.current = made.release_number

    def _roll_back(
        self, toolset: Toolset, history: History, number: int, components: tuple[str, ...] | None = None
    ) -> None:
        before = live_state(self.engine, toolset)
        done = roll_back(self.engine, toolset, number, components=components, allow_shared_impact=True)
        after = live_state(self.engine, toolset)
        if components is None:
            assert after == history.releases[number].state
        if done.noop:
            return
        if done.backup_release_number is not None:
            history.add(done.backup_release_number, before)
        outcome = done.current_release_number
        assert outcome is not None
        if outcome not in history.releases:
            history.add(outcome, after)
        named = (done.from_release_number, number, done.backup_release_number)
        history.named |= {one for one in named if one is not None}
        history.current = outcome

    def check(self) -> None:
        for toolset, history in zip(self.toolsets, self.histories, strict=True):
            assert_kept(self.engine, toolset, history)
            assert current_number(self.engine, toolset) == history.current
        assert_versions_chained(self.engine)

    def roll_back_to_everything(self) -> None:
        for toolset, history in zip(self.toolsets, self.histories, strict=True):
            for number in sorted(history.releases)[:4]:
                self._roll_back(toolset, history, number)


@examples_in_one_database(12)
@given(steps=st.lists(STEPS, min_size=6, max_size=22))
def test_after_each_prune_the_history_is_whole_and_can_be_restored(engine: Engine, steps: list[Any]) -> None:
    story = Story(engine)
    for step in steps:
        story.step(*step)
    for which in (0, 1):
        story.step("prune", which, 2, None)
    story.roll_back_to_everything()
    story.check()
