"""How the digests of a release are put together from those of its components."""

from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain.digests import BUILT_IN, StateDigests
from tests.support.exact_json import digest

HEX = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
NEVER_EMPTY = ("tools", "resources", "settings", "system")
MAY_BE_EMPTY = ("deployment", "global_variations", "toolset_variations")
STATES = st.fixed_dictionaries(
    {**dict.fromkeys(NEVER_EMPTY, HEX), **dict.fromkeys(MAY_BE_EMPTY, st.none() | HEX)},
    optional={"flags": st.none() | HEX, "themes": HEX},
)


@given(STATES)
def test_the_digests_of_the_parts_are_those_of_the_documented_objects(state: dict[str, str | None]) -> None:
    digests = StateDigests(state)
    assert digests.toolset_version == digest({name: state[name] for name in ("tools", "resources", "settings")})
    assert digests.source_state == digest(
        {"deployment": state["deployment"] or digest(None), "system": state["system"]}
    )
    plug_ins = {name: value for name, value in state.items() if name not in BUILT_IN and value}
    assert digests.release == digest(
        {
            "toolset_version": digests.toolset_version,
            "source_state": digests.source_state,
            "global_variations": state["global_variations"],
            "toolset_variations": state["toolset_variations"],
            **({"components": plug_ins} if plug_ins else {}),
        }
    )


@given(STATES, st.sampled_from(BUILT_IN), HEX)
def test_the_digest_of_a_release_changes_with_that_of_each_component(
    state: dict[str, str | None], component: str, other: str
) -> None:
    changed = {**state, component: other}
    assert (StateDigests(changed).release == StateDigests(state).release) == (changed == state)


@given(STATES)
def test_a_plug_in_that_captured_nothing_leaves_the_digest_as_it_is(state: dict[str, str | None]) -> None:
    assert StateDigests({**state, "absent": None}).release == StateDigests(state).release
