"""A release stays verifiable, comparable and restorable when what is captured gains a field.

`form_1.json` holds the rows of a toolset and its first release as they were written in form 1, and is never written
anew: it stands for the databases of those who upgrade.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.domain.subject import Scope
from release_worker.errors import IntegrityMismatch, UnsupportedContent
from release_worker.queries.export_bundle import export_bundle
from release_worker.state.component import Parameters, keyed_diff, members
from release_worker.state.registry import Registry, built_in_components
from release_worker.state.settings import Settings
from release_worker.store import captured, capturing
from release_worker.store.engine import snapshot_transaction
from release_worker.store.parts import BUILT_IN_PARTS, Form
from release_worker.store.parts.toolset_version import TOOLSET_VERSION, ToolsetVersion
from tests.support.bundles import imported
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Flags, create_flags_table, with_plug_ins
from tests.support.records import tampering
from tests.support.world import World

PATH = "acme/payments/billing"
NEW_VALUE = "x.svg"


@pytest.fixture
def frozen(engine: Engine) -> UUID:
    """The toolset of the fixture, with release 1 current; its id."""
    create_flags_table(engine)
    source = (Path(__file__).parent / "form_1.json").read_text()
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # in whatever order
        for table, rows in json.loads(source).items():
            columns = ", ".join(rows[0])
            insert = f"""
                INSERT INTO {table} ({columns}) SELECT {columns}
                FROM jsonb_populate_recordset(CAST(NULL AS {table}), CAST(:source AS jsonb) -> '{table}')
            """
            connection.execute(text(insert), {"source": source})
        found = connection.execute(text("SELECT id FROM toolsets")).scalar_one()
    return UUID(str(found))


def flagged(*, form: int = 1) -> Registry:
    return with_plug_ins(Flags() if form == 1 else EnabledFlags())


def test_a_release_of_form_1_is_whole_and_can_be_restored_by_todays_code(engine: Engine, frozen: UUID) -> None:
    assert not drift(engine, PATH, registry=flagged()).drifted
    edit_all(engine)
    assert set(drift(engine, PATH, registry=flagged()).changes) == {"settings", "tools", "system", "flags"}
    done = roll_back(engine, PATH, 1, registry=flagged())
    assert (done.backup_release_number, done.current_release_number) == (2, 1)
    assert not drift(engine, PATH, registry=flagged()).drifted


def edit_all(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("""UPDATE toolsets SET name = 'Edited', settings = '{"edited": 1}'"""))
        connection.execute(text("UPDATE toolset_tools SET position = position + 10"))
        connection.execute(text("""UPDATE system_configs SET value = '"edited"'"""))
        connection.execute(text("DELETE FROM flags WHERE name = 'limit'"))


@dataclass(frozen=True, slots=True)
class SettingsOfTomorrow(Settings):
    """Tomorrow's settings: one column more, which may not be empty."""

    def capture(self) -> str:
        return """(
            SELECT jsonb_build_object('name', name, 'description', description, 'settings', settings, 'later', later)
            FROM ours.toolsets WHERE id = :toolset_id)"""

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        Settings.restore(self, connection, target, parameters)
        put_back = f"UPDATE ours.toolsets SET later = {target} ->> 'later' WHERE id = :toolset_id"
        connection.execute(text(put_back), parameters)


@dataclass(frozen=True, slots=True)
class ToolsetVersionOfTomorrow(ToolsetVersion):
    """Tomorrow's part: the column is written, and form 1 is lifted to the new one."""

    def steps(self) -> Iterator[str]:
        for step in ToolsetVersion.steps(self):
            yield step.replace("settings, form, digest", "settings, later, form, digest").replace(
                "settings -> 'settings',", "settings -> 'settings', settings ->> 'later',"
            )


LIFTED = Form(
    TOOLSET_VERSION.forms[-1].contents,
    {"settings": lambda content: f"""({content} || '{{"later": "{NEW_VALUE}"}}')"""},
)
SECOND = Form(
    {
        **TOOLSET_VERSION.forms[-1].contents,
        "settings": "jsonb_build_object('name', name, 'description', description, 'settings', settings, "
        "'later', later)",
    }
)


@pytest.fixture
def tomorrow(engine: Engine, frozen: UUID, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The code of form 2, on a database that was upgraded to it."""
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE toolsets ADD COLUMN later text DEFAULT '{NEW_VALUE}' NOT NULL"))
        connection.execute(text("ALTER TABLE toolset_versions ADD COLUMN later text"))
    version = ToolsetVersionOfTomorrow(forms=(*TOOLSET_VERSION.forms[:-1], LIFTED, SECOND))
    parts = tuple(version if part is TOOLSET_VERSION else part for part in BUILT_IN_PARTS)
    monkeypatch.setattr(capturing, "BUILT_IN_PARTS", parts)
    monkeypatch.setattr(captured, "BUILT_IN_PARTS", parts)
    return Registry(
        (*(SettingsOfTomorrow() if one.name == "settings" else one for one in built_in_components()), Flags())
    )


def test_code_of_form_2_finds_nothing_changed_after_the_upgrade(engine: Engine, tomorrow: Registry) -> None:
    assert not drift(engine, PATH, registry=tomorrow).drifted
    unchanged = release(engine, PATH, registry=tomorrow, only_if_changed=True)
    assert (unchanged.created, unchanged.release_number) == (False, 1)
    assert roll_back(engine, PATH, 1, registry=tomorrow).noop


def test_code_of_form_2_compares_what_form_1_holds(engine: Engine, tomorrow: Registry) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE toolsets SET later = 'other.svg'"))
    found = drift(engine, PATH, registry=tomorrow)
    assert list(found.changes) == ["settings"]
    assert found.changes["settings"].changed == ({"key": "later", "old": NEW_VALUE, "new": "other.svg"},)


def test_code_of_form_2_restores_what_form_1_holds_and_then_what_form_2_holds(
    engine: Engine, tomorrow: Registry
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE toolsets SET later = 'other.svg', name = 'Other'"))
    assert release(engine, PATH, registry=tomorrow).release_number == 2
    done = roll_back(engine, PATH, 1, registry=tomorrow)
    assert (done.backup_release_number, done.current_release_number) == (None, 1)
    assert tomorrow_and_name(engine) == (NEW_VALUE, "Billing")
    assert not drift(engine, PATH, registry=tomorrow).drifted
    assert roll_back(engine, PATH, 2, registry=tomorrow).current_release_number == 2
    assert tomorrow_and_name(engine) == ("other.svg", "Other")
    assert forms(engine) == [1, 2]


def test_a_flipped_byte_in_form_1_is_found_by_code_of_form_2(engine: Engine, tomorrow: Registry) -> None:
    with tampering(engine) as connection:
        connection.execute(text("UPDATE toolset_versions SET name = 'Tampered'"))
    with pytest.raises(IntegrityMismatch, match="toolset_version of release 1"):
        roll_back(engine, PATH, 1, registry=tomorrow)


def test_what_newer_software_wrote_is_not_misread(engine: Engine, frozen: UUID) -> None:
    edit_all(engine)
    with tampering(engine) as connection:
        newer = len(TOOLSET_VERSION.forms) + 1
        connection.execute(text(f"UPDATE toolset_versions SET form = {newer}"))
    for operation in (roll_back, lambda *given, **options: drift(*given[:2], **options)):
        with pytest.raises(UnsupportedContent, match="newer software wrote toolset_version of release 1"):
            operation(engine, PATH, 1, registry=flagged())


def tomorrow_and_name(engine: Engine) -> tuple[str, str]:
    with engine.connect() as connection:
        later, name = connection.execute(text("SELECT later, name FROM toolsets")).one()
    return later, name


def forms(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT form FROM toolset_versions ORDER BY version")).scalars())


@dataclass(frozen=True)
class EnabledFlags:
    """The flags' next version: each says whether it is enabled, and must."""

    name: str = "flags"
    scope: Scope = "toolset"
    form: int = 2

    def lift(self, content: str, form: int) -> str:
        assert form == 1
        return f"""(
            SELECT jsonb_object_agg(key, jsonb_build_object('value', value, 'enabled', true))
            FROM jsonb_each({content}))"""

    def capture(self) -> str:
        return """(
            SELECT jsonb_object_agg(name, jsonb_build_object('value', value, 'enabled', enabled))
            FROM flags WHERE owner_id = :toolset_id)"""

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        connection.execute(text("DELETE FROM flags WHERE owner_id = :toolset_id"), parameters)
        put_back = f"""
            INSERT INTO flags (owner_id, name, value, enabled)
            SELECT :toolset_id, key, item -> 'value', (item -> 'enabled')::boolean
            FROM jsonb_each({target}) AS target (key, item)
        """
        connection.execute(text(put_back), parameters)


@pytest.fixture
def enabled(engine: Engine, frozen: UUID) -> Registry:
    """The plug-in's code of form 2, on its upgraded table."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE flags ADD COLUMN enabled boolean DEFAULT true NOT NULL"))
        connection.execute(text("ALTER TABLE flags ALTER COLUMN enabled DROP DEFAULT"))
    return flagged(form=2)


def test_a_plug_in_that_gained_a_field_finds_nothing_changed(engine: Engine, enabled: Registry) -> None:
    assert not drift(engine, PATH, registry=enabled).drifted
    assert not release(engine, PATH, registry=enabled, only_if_changed=True).created


def test_a_plug_in_that_gained_a_field_restores_its_older_releases(engine: Engine, enabled: Registry) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE flags SET enabled = false WHERE name = 'beta'"))
        connection.execute(text("DELETE FROM flags WHERE name = 'limit'"))
    changes = drift(engine, PATH, registry=enabled).changes["flags"]
    assert changes.removed == ("limit",)
    assert changes.changed == ({"key": "beta", "fields": {"enabled": {"old": True, "new": False}}},)
    done = roll_back(engine, PATH, 1, registry=enabled)
    assert (done.backup_release_number, done.current_release_number) == (2, 1)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, value::text, enabled FROM flags ORDER BY name")).all()
    assert [tuple(row) for row in rows] == [
        ("beta", "true", True),
        ("limit", "12345678901234567890.50", True),
    ]
    assert roll_back(engine, PATH, 2, registry=enabled).current_release_number == 2


def test_a_plug_in_of_an_older_form_does_not_misread_a_newer_one(engine: Engine, enabled: Registry) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE flags SET enabled = false"))
    release(engine, PATH, registry=enabled)
    with pytest.raises(UnsupportedContent, match="newer software wrote flags of release 2"):
        roll_back(engine, PATH, 2, registry=flagged())


def test_a_bundle_of_an_older_release_is_lifted_when_it_is_imported(engine: Engine, enabled: Registry) -> None:
    with snapshot_transaction(engine) as connection:
        manifest, bundle = export_bundle(connection, PATH, 1, enabled)
    assert manifest.parts["flags"].form == 1
    empty = World(engine).organization("other").project("shop").toolset("checkout")
    done = imported(engine, bundle, empty, registry=enabled)
    assert done.digest != manifest.digest
    assert not drift(engine, empty, registry=enabled).drifted
    flags = text("SELECT name, value, enabled FROM flags WHERE owner_id = :id ORDER BY name")
    with engine.connect() as connection:
        originals = connection.execute(text("SELECT id FROM toolsets WHERE slug = 'billing'")).scalar_one()
        assert connection.execute(flags, {"id": empty.id}).all() == connection.execute(flags, {"id": originals}).all()
        assert len(connection.execute(flags, {"id": empty.id}).all()) > 0
