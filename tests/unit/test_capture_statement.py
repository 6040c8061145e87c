"""The statement that captures a release is put together from the parts of several modules; here it is as a whole."""

import re

from hypothesis import given
from hypothesis import strategies as st

from release_worker.store.capturing import capture_statement
from tests.support.golden import assert_golden
from tests.support.plug_ins import Flags, with_plug_ins
from tests.support.sql_layout import WIDTH, laid_out


def whole_statement() -> str:
    """With the built-in components, and a plug-in."""
    components = with_plug_ins(Flags())
    return capture_statement({component.name: component.capture() for component in components}, components.parts)


def test_the_capture_statement_is_that_of_the_golden_file(renew: bool) -> None:
    assert_golden("capture.sql", laid_out(whole_statement()), renew=renew)


def test_a_layout_has_every_character_of_the_statement_but_space() -> None:
    assert "".join(laid_out(whole_statement()).split()) == "".join(whole_statement().split())


def test_a_layout_can_be_read() -> None:
    assert max(map(len, laid_out(whole_statement()).splitlines())) <= WIDTH


@given(st.lists(st.sampled_from([" ", "\n", "\t  "]), min_size=1, max_size=9))
def test_a_layout_is_the_same_however_the_code_is_indented(spaces: list[str]) -> None:
    words = re.split(r"\s+", whole_statement())
    indented = "".join(word + spaces[place % len(spaces)] for place, word in enumerate(words))
    assert laid_out(indented) == laid_out(whole_statement())


def test_space_within_a_literal_is_kept() -> None:
    assert laid_out("SELECT 'it''s  (so,\t x', \"a  b\"") == "SELECT 'it''s  (so,\t x', \"a  b\"\n"
