"""An installed package may add a component: it is captured, restored and compared like the seven that are built in."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.domain.subject import Scope
from release_worker.errors import IntegrityMismatch
from release_worker.state.component import Parameters, keyed_diff, members
from release_worker.state.registry import Registry, built_in_components, installed_components
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import number_of_rows, release_of, tampering
from tests.support.world import Toolset

Flags = dict[str, bool]


@dataclass(frozen=True)
class FeatureFlags:
    """Content: `{name: on}`. Without flags it is `{}`, or, for `none_is_null`, NULL."""

    none_is_null: bool = False
    name: str = "flags"
    scope: Scope = "toolset"

    def capture(self) -> str:
        content = 'jsonb_object_agg(name, "on")'
        if not self.none_is_null:
            content = f"coalesce({content}, '{{}}')"
        return f"(SELECT {content} FROM feature_flags WHERE toolset_id = :toolset_id)"

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        connection.execute(text("DELETE FROM feature_flags WHERE toolset_id = :toolset_id"), parameters)
        put_back = f"""
            INSERT INTO feature_flags (toolset_id, name, "on")
            SELECT :toolset_id, key, value::boolean FROM jsonb_each({target})
        """
        connection.execute(text(put_back), parameters)


def with_flags(*, none_is_null: bool = False) -> Registry:
    return Registry((*built_in_components(), FeatureFlags(none_is_null=none_is_null)))


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    with engine.begin() as connection:
        connection.execute(
            text(
                'CREATE TABLE feature_flags (toolset_id uuid, name text, "on" boolean, PRIMARY KEY (toolset_id, name))'
            )
        )
    return a_full_toolset(engine)


@pytest.fixture
def flags(engine: Engine, billing: Toolset) -> Callable[..., None]:
    """Writes the toolset's flags."""

    def write(**values: bool) -> None:
        billing.rows.delete("feature_flags", {"toolset_id": billing.id})
        with engine.begin() as connection:
            for name, on in values.items():
                row = {"id": billing.id, "name": name, "on": on}
                connection.execute(text("INSERT INTO feature_flags VALUES (:id, :name, :on)"), row)

    return write


def stored_flags(engine: Engine) -> Flags:
    with engine.connect() as connection:
        return {row.name: row.on for row in connection.execute(text('SELECT name, "on" FROM feature_flags'))}


def test_a_plug_in_is_captured_and_restored_with_the_rest(
    engine: Engine, billing: Toolset, flags: Callable[..., None]
) -> None:
    flags(dark=True, beta=False)
    state = live_state(engine, billing)
    release(engine, billing, registry=with_flags())
    flags(dark=False, new=True)
    edit_everything(billing)
    assert drift(engine, billing, registry=with_flags()).changes["flags"].model_dump() == {
        "added": ("new",),
        "removed": ("beta",),
        "changed": ({"key": "dark", "old": True, "new": False},),
    }
    done = roll_back(engine, billing, 1, registry=with_flags())
    assert stored_flags(engine) == {"dark": True, "beta": False}
    assert live_state(engine, billing) == state
    assert (done.current_release_number, done.backup_release_number) == (1, 2)
    assert done.components[-1] == "flags"
    assert not drift(engine, billing, registry=with_flags()).drifted


def test_a_plug_in_can_be_rolled_back_alone(engine: Engine, billing: Toolset, flags: Callable[..., None]) -> None:
    flags(dark=True)
    release(engine, billing, registry=with_flags())
    flags(dark=False)
    edit_everything(billing)
    edited = live_state(engine, billing)
    roll_back(engine, billing, 1, components=["flags"], registry=with_flags())
    assert stored_flags(engine) == {"dark": True}
    assert live_state(engine, billing) == edited


def test_equal_content_of_a_plug_in_is_stored_once(
    engine: Engine, billing: Toolset, flags: Callable[..., None]
) -> None:
    flags(dark=True)
    release(engine, billing, registry=with_flags())
    release(engine, billing, registry=with_flags())
    assert number_of_rows(engine, "component_states") == 1
    assert number_of_rows(engine, "release_components") == 2


def test_a_release_that_was_made_before_the_plug_in_was_installed_leaves_its_state_with_a_warning(
    engine: Engine, billing: Toolset, flags: Callable[..., None]
) -> None:
    state = live_state(engine, billing)
    release(engine, billing)
    flags(dark=True)
    edit_everything(billing)
    done = roll_back(engine, billing, 1, registry=with_flags())
    assert live_state(engine, billing) == state
    assert stored_flags(engine) == {"dark": True}
    assert [warning for warning in done.warnings if "flags" in warning]
    assert release_of(engine, billing, 3).kind == "restored"
    assert not drift(engine, billing, registry=with_flags()).drifted


@pytest.mark.parametrize("none_is_null", [False, True])
def test_flags_that_came_later_are_removed_where_the_release_had_none(
    engine: Engine, billing: Toolset, flags: Callable[..., None], none_is_null: bool
) -> None:
    registry = with_flags(none_is_null=none_is_null)
    release(engine, billing, registry=registry)
    flags(dark=True)
    roll_back(engine, billing, 1, registry=registry)
    assert stored_flags(engine) == {}
    assert not drift(engine, billing, registry=registry).drifted


def test_tampered_content_of_a_plug_in_is_named(engine: Engine, billing: Toolset, flags: Callable[..., None]) -> None:
    flags(dark=True)
    release(engine, billing, registry=with_flags())
    with tampering(engine) as connection:
        connection.execute(text("UPDATE component_states SET content = '{\"dark\": false}'"))
    with pytest.raises(IntegrityMismatch) as mismatch:
        roll_back(engine, billing, 1, registry=with_flags())
    assert mismatch.value.details["objects"][0]["object"] == "flags of release 1"


def test_two_components_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="flags"):
        Registry((*built_in_components(), FeatureFlags(), FeatureFlags(none_is_null=True)))


def test_without_installed_plug_ins_there_are_the_seven_components() -> None:
    assert installed_components().names == built_in_components().names
