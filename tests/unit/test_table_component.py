"""What no table can have is refused when a TableComponent is made."""

from typing import Any

import pytest

from release_worker.components import HasLiveRows, TableComponent

FLAGS: dict[str, Any] = {
    "name": "flags",
    "table": "flags",
    "key": "name",
    "scope": "toolset",
    "scope_column": "owner_id",
    "values": ("value",),
}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"name": "Flags"}, "lower-case words"),
        ({"name": "flags\n"}, "lower-case words"),
        ({"name": ""}, "lower-case words"),
        ({"name": "tools"}, "not a built-in one"),
        ({"scope": "galaxy"}, "toolset, project or organization: 'galaxy'"),
        ({"table": "a.b.c"}, "a name, or a schema and a name"),
        ({"table": ()}, "a name, or a schema and a name"),
        ({"table": "app."}, "a name of 1 to 63 bytes: ''"),
        ({"table": "é" * 32}, "a name of 1 to 63 bytes"),
        ({"key": ()}, "at least one column"),
        ({"key": "a\0b"}, "a name of 1 to 63 bytes"),
        ({"values": ("*",)}, "listed by their names"),
        ({"values": "*"}, "listed by their names"),
        ({"values": ("value", 1)}, "a name of 1 to 63 bytes: 1"),
        ({"values": ("value", "name")}, "listed twice: name"),
        ({"values": ("value", "owner_id")}, "listed twice: owner_id"),
        ({"deleted_at": "value"}, "listed twice: value"),
        ({"deleted_at": ""}, "a name of 1 to 63 bytes"),
        ({"key": ("name", "name")}, "listed twice: name"),
    ],
)
def test_what_no_table_can_have_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TableComponent(**{**FLAGS, **wrong})


@pytest.mark.parametrize(
    "right", [{}, {"values": ()}, {"key": ["a", "b"]}, {"table": ("a.b", "c")}, {"values": "value"}]
)
def test_what_a_table_can_have_is_taken(right: dict[str, Any]) -> None:
    component = TableComponent(**{**FLAGS, **right})
    assert isinstance(component, HasLiveRows)
    assert hash(TableComponent(**FLAGS)) == hash(TableComponent(**FLAGS))
