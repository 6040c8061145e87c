"""A bundle is a release in a file: in another database it is the same state with the same digest, or nothing at all."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from release_worker.domain import canonical_json
from release_worker.domain.digests import NOTHING, PARTS, release_digest
from release_worker.domain.requests.import_bundle import ImportBundleResult
from release_worker.errors import (
    ComponentFailed,
    IntegrityMismatch,
    InvalidRequest,
    ReleaseNotFound,
    SharedStateImpact,
    StaleState,
    UnsupportedContent,
)
from release_worker.operations.sweep import sweep
from release_worker.store.engine import make_engine
from tests.support.billing import COMPONENTS, INVOICE, a_full_toolset, edit_everything
from tests.support.bundles import document, exported, imported, keep, overwrite
from tests.support.exact_json import digest
from tests.support.ledger import ask
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Flags, create_flags_table, flags_of, set_flag, with_plug_ins
from tests.support.records import (
    captured_state,
    current_number,
    number_of_rows,
    release_of,
    releases_of,
    tampering,
    whole_database,
)
from tests.support.servers import Servers
from tests.support.staging import perform
from tests.support.world import Toolset, World


@pytest.fixture
def elsewhere(servers: Servers) -> Iterator[Engine]:
    """Another database."""
    with servers.databases.temporary() as url:
        made = make_engine(url)
        yield made
        made.dispose()


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once, with values that only exact arithmetic keeps."""
    toolset = a_full_toolset(engine)
    toolset.edit(settings={"exact": 12345678901234567890, "timeout": 30})
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE system_configs SET value = '{\"rate\": 0.10000000000000000000000000010}'")
    release(engine, toolset, notes="build 991", labels={"build": "991"})
    return toolset


@pytest.fixture
def empty(elsewhere: Engine) -> Toolset:
    """A toolset of another database with nothing in it."""
    return World(elsewhere).organization("umbrella").project("shop").toolset("checkout")


def test_a_bundle_is_imported_into_another_database_with_the_same_state_and_digest(
    engine: Engine, billing: Toolset, elsewhere: Engine, empty: Toolset
) -> None:
    done = imported(elsewhere, exported(engine, billing, 1), empty)
    assert live_state(elsewhere, empty) == live_state(engine, billing) == captured_state(elsewhere, empty, 2)
    assert done.digest == release_of(engine, billing, 1).digest == release_of(elsewhere, empty, 2).digest
    assert (done.backup_release_number, done.release_number, done.created) == (1, 2, True)
    assert current_number(elsewhere, empty) == 2
    assert release_of(elsewhere, empty, 2).notes == "imported release 1 of acme/payments/billing"
    assert not drift(elsewhere, empty).drifted
    assert exported(elsewhere, empty, 2).partition('"contents"')[2] != ""


def test_what_was_imported_can_be_rolled_back_from_and_to(
    engine: Engine, billing: Toolset, elsewhere: Engine, empty: Toolset
) -> None:
    before = live_state(elsewhere, empty)
    imported(elsewhere, exported(engine, billing, 1), empty)
    after = live_state(elsewhere, empty)
    roll_back(elsewhere, empty, 1)
    assert live_state(elsewhere, empty) == before
    roll_back(elsewhere, empty, 2)
    assert live_state(elsewhere, empty) == after


def test_a_bundle_is_read_and_checked_by_the_documented_rule_alone(engine: Engine, billing: Toolset) -> None:
    bundle = document(exported(engine, billing, 1))
    contents, digests, parts = bundle["contents"], bundle["digests"], bundle["parts"]
    nothing = digest(None)
    assert set(contents) == set(COMPONENTS)
    assert {name: digest(content) for name, content in contents.items()} == digests
    for name in ("toolset_version", "source_state"):
        assert parts[name]["digest"] == digest({one: digests[one] or nothing for one in parts[name]["components"]})
    for name in ("global_variations", "toolset_variations"):
        assert parts[name]["digest"] == digests[name]
    assert bundle["digest"] == digest({name: part["digest"] for name, part in parts.items()})
    assert bundle["checksum"] == digest(
        {name: value for name, value in bundle.items() if name not in ("contents", "checksum")}
    )
    assert bundle["release"]["toolset"] == billing.path
    assert (bundle["release"]["notes"], bundle["release"]["labels"]) == ("build 991", {"build": "991"})


def test_numbers_are_in_the_file_to_the_last_digit(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    assert '"exact": 12345678901234567890' in bundle
    assert '"rate": 0.1000000000000000000000000001}' in bundle


def test_an_older_release_is_exported_as_it_was_and_whatever_is_live(engine: Engine, billing: Toolset) -> None:
    first = exported(engine, billing, 1)
    edit_everything(billing)
    release(engine, billing)
    assert exported(engine, billing, 1) == first
    assert exported(engine, billing, 2) != first


def test_a_release_that_is_not_there_or_not_whole_is_not_exported(engine: Engine, billing: Toolset) -> None:
    with pytest.raises(ReleaseNotFound):
        exported(engine, billing, 9)
    with tampering(engine) as connection:
        connection.execute(text("UPDATE source_states SET system_snapshot = '{}'"))
    with pytest.raises(IntegrityMismatch, match="source_state of release 1"):
        exported(engine, billing, 1)


def test_importing_what_is_live_and_current_already_makes_nothing(engine: Engine, billing: Toolset) -> None:
    done = imported(engine, exported(engine, billing, 1), billing)
    assert (done.created, done.release_number, done.backup_release_number, done.changes) == (False, 1, None, {})
    assert len(releases_of(engine, billing)) == 1


def test_live_edits_that_an_import_overwrites_are_in_a_backup(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    original = live_state(engine, billing)
    billing.edit(name="Released")
    release(engine, billing)
    edit_everything(billing)
    before = live_state(engine, billing)
    done = imported(engine, bundle, billing)
    assert (done.backup_release_number, done.release_number) == (3, 4)
    assert set(done.changes) == set(COMPONENTS)
    assert captured_state(engine, billing, 3) == before
    assert live_state(engine, billing) == original


def test_importing_what_the_current_release_holds_puts_it_back_and_makes_no_other(
    engine: Engine, billing: Toolset
) -> None:
    bundle = exported(engine, billing, 1)
    original = live_state(engine, billing)
    edit_everything(billing)
    done = imported(engine, bundle, billing)
    assert (done.created, done.release_number, done.backup_release_number) == (False, 1, 2)
    assert live_state(engine, billing) == original
    assert current_number(engine, billing) == 1


def test_an_import_that_others_would_notice_is_refused_unless_it_is_allowed(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    neighbour = billing.project.toolset("neighbour", tools=[INVOICE])
    edit_everything(billing)
    before = whole_database(engine)
    with pytest.raises(SharedStateImpact, match="the import would change") as refused:
        imported(engine, bundle, billing)
    assert [one["path"] for one in refused.value.details["toolsets"]] == [neighbour.path]
    unlike = {name for name, rows in whole_database(engine).items() if rows != before[name]}
    assert unlike == {"release_bundles"}
    done = imported(engine, bundle, billing, allow_shared_impact=True)
    assert any(neighbour.path in warning for warning in done.warnings)


def test_who_expects_another_release_imports_nothing(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    with pytest.raises(StaleState):
        imported(engine, bundle, billing, expected_current_release=4)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_bundle_that_was_changed_in_the_database_is_refused_by_the_name_of_the_part(
    engine: Engine, billing: Toolset, component: str
) -> None:
    bundle = exported(engine, billing, 1)
    edit_everything(billing)
    checksum = keep(engine, bundle)
    overwrite(engine, checksum, f"{{contents,{component},x}}", "1")
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch, match=f"content of {component} in the bundle"):
        imported_as_kept(engine, checksum, billing)
    assert whole_database(engine) == before


def test_another_bundle_in_the_place_of_the_asked_one_is_not_imported(engine: Engine, billing: Toolset) -> None:
    asked = keep(engine, exported(engine, billing, 1))
    billing.edit(name="Two")
    release(engine, billing)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE release_bundles SET document = CAST(:other AS jsonb)"), {"other": exported(engine, billing, 2)}
        )
    before = live_state(engine, billing)
    with pytest.raises(IntegrityMismatch, match="another bundle than the one that was asked for"):
        imported_as_kept(engine, asked, billing)
    assert live_state(engine, billing) == before


def test_a_good_file_replaces_what_lies_damaged_under_its_digest(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    overwrite(engine, keep(engine, bundle), "{contents,settings,name}", "1")
    billing.edit(name="Two")
    imported(engine, bundle, billing)
    assert live_state(engine, billing) == captured_state(engine, billing, 1)


def test_a_part_of_an_unknown_plug_in_without_state_is_no_obstacle(engine: Engine, billing: Toolset) -> None:
    """Its plug-in was installed there, and the toolset had nothing of it."""
    made = document(exported(engine, billing, 1))
    made["parts"]["unknown"] = {"form": 1, "digest": digest(None), "components": ["unknown"]}
    made["digests"]["unknown"] = made["contents"]["unknown"] = None
    described = {key: value for key, value in made.items() if key not in ("contents", "checksum")}
    billing.edit(name="Two")
    imported(engine, canonical_json.dumps({**made, "checksum": digest(described)}), billing)
    assert live_state(engine, billing) == captured_state(engine, billing, 1)


def test_hostile_names_of_where_a_bundle_comes_from_are_shown_as_escapes(engine: Engine, billing: Toolset) -> None:
    made = document(exported(engine, billing, 1))
    made["release"]["toolset"] = "a\x1b[2J\nb" + "c" * 100_000
    described = {key: value for key, value in made.items() if key not in ("contents", "checksum")}
    billing.edit(name="Two")
    release(engine, billing)
    imported(engine, canonical_json.dumps({**made, "checksum": digest(described)}), billing)
    notes = release_of(engine, billing, 3).notes
    assert notes.startswith(r"imported release 1 of a\x1b[2J\x0abccc")
    assert len(notes) < 1_000


ILL_TYPED: dict[str, Callable[[Any], object]] = {
    "a position is a text": lambda made: made["tools"].update(positions=["x"] * len(made["tools"]["urns"])),
    "a position is too large": lambda made: made["tools"].update(positions=[10**30] * len(made["tools"]["urns"])),
    "tools are a list": lambda made: made.update(tools=[]),
    "tools are a text": lambda made: made.update(tools="x"),
    "settings are a list": lambda made: made.update(settings=[1]),
    "a toolset has no name": lambda made: made["settings"].update(name=None),
    "a deployment is a number": lambda made: made.update(deployment=7),
    "definitions are a number": lambda made: made["deployment"].update(tools=7),
    "a status is unknown": lambda made: made["deployment"].update(status="exploded"),
    "prompts are a list": lambda made: made["system"].update(prompts=[]),
    "variations are a text": lambda made: made.update(toolset_variations="x"),
}


@pytest.mark.parametrize("how", ILL_TYPED)
def test_contents_of_other_types_are_refused_although_their_digests_are_right(
    engine: Engine, billing: Toolset, how: str
) -> None:
    made = document(exported(engine, billing, 1))
    ILL_TYPED[how](made["contents"])
    edit_everything(billing)
    before = whole_state(engine, billing)
    with pytest.raises((UnsupportedContent, IntegrityMismatch)) as refused:
        imported(engine, resealed(made), billing)
    assert "\n" not in str(refused.value)
    assert whole_state(engine, billing) == before


def whole_state(engine: Engine, toolset: Toolset) -> object:
    return live_state(engine, toolset), [one.release_number for one in releases_of(engine, toolset)]


def resealed(made: dict[str, Any]) -> str:
    """With all digests made right again, as anybody can."""
    contents = made["contents"]
    made["digests"] = {name: None if content is None else digest(content) for name, content in contents.items()}
    for name, part in made["parts"].items():
        digests = {one: made["digests"][one] or NOTHING for one in part["components"]}
        composed = name in ("toolset_version", "source_state")
        part["digest"] = digest(digests) if composed else digests[part["components"][0]]
    made["digest"] = release_digest(**{name: made["parts"][name]["digest"] for name in PARTS}, plug_ins={})
    described = {key: value for key, value in made.items() if key not in ("contents", "checksum")}
    return canonical_json.dumps({**made, "checksum": digest(described)})


def imported_as_kept(engine: Engine, checksum: str, toolset: Toolset) -> None:
    """Import what is in the database, whatever became of it."""
    perform(engine, "import_bundle", toolset, ImportBundleResult, bundle=checksum)


def test_a_bundle_that_is_not_in_the_database_is_asked_for_again(engine: Engine, billing: Toolset) -> None:
    with pytest.raises(InvalidRequest, match="import its file again"):
        imported_as_kept(engine, "0" * 64, billing)


def test_plug_ins_travel_with_the_rest(engine: Engine, elsewhere: Engine, empty: Toolset) -> None:
    registry = with_plug_ins(Flags())
    billing = a_full_toolset(engine)
    for one in (engine, elsewhere):
        create_flags_table(one)
    set_flag(engine, billing.id, "beta", "[1.10]")
    release(engine, billing, registry=registry)
    done = imported(elsewhere, exported(engine, billing, 1, registry=registry), empty, registry=registry)
    assert flags_of(elsewhere, empty.id) == {"beta": "[1.1]"}
    assert done.digest == release_of(engine, billing, 1).digest


def test_a_plug_in_that_is_not_installed_is_named(engine: Engine, elsewhere: Engine, empty: Toolset) -> None:
    registry = with_plug_ins(Flags())
    billing = a_full_toolset(engine)
    create_flags_table(engine)
    set_flag(engine, billing.id, "beta", "1")
    release(engine, billing, registry=registry)
    bundle = exported(engine, billing, 1, registry=registry)
    with pytest.raises(ComponentFailed, match=r"component flags failed: .* no such plug-in is installed"):
        imported(elsewhere, bundle, empty)


def test_state_of_a_plug_in_that_the_bundle_knows_nothing_of_is_not_thrown_away(
    engine: Engine, billing: Toolset, elsewhere: Engine, empty: Toolset
) -> None:
    registry = with_plug_ins(Flags())
    create_flags_table(elsewhere)
    bundle = exported(engine, billing, 1)
    set_flag(elsewhere, empty.id, "beta", "1")
    with pytest.raises(ComponentFailed, match="component flags failed: the bundle was made without this plug-in"):
        imported(elsewhere, bundle, empty, registry=registry)
    with elsewhere.begin() as connection:
        connection.execute(text("DELETE FROM flags"))
    assert imported(elsewhere, bundle, empty, registry=registry).digest == release_of(engine, billing, 1).digest


def test_a_part_of_newer_software_is_refused(engine: Engine, billing: Toolset) -> None:
    bundle = document(exported(engine, billing, 1))
    bundle["parts"]["source_state"]["form"] = 9
    described = {name: value for name, value in bundle.items() if name not in ("contents", "checksum")}
    bundle["checksum"] = canonical_json.digest(described)
    with pytest.raises(UnsupportedContent, match="newer software wrote source_state"):
        imported(engine, canonical_json.dumps(bundle), billing)


def test_a_bundle_is_kept_for_a_day_and_as_long_as_a_request_waits_for_it(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    checksum = keep(engine, bundle)
    age(engine, timedelta(hours=23))
    assert kept_after_a_sweep(engine) == 1
    ask(engine, billing, "import_bundle", bundle=checksum)
    age(engine, timedelta(hours=2))
    assert kept_after_a_sweep(engine) == 1
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET status = 'failed', finished_at = now()"))
    assert kept_after_a_sweep(engine) == 0


def test_who_imports_a_bundle_again_keeps_it_for_another_day(engine: Engine, billing: Toolset) -> None:
    bundle = exported(engine, billing, 1)
    keep(engine, bundle)
    age(engine, timedelta(hours=25))
    keep(engine, bundle)
    assert kept_after_a_sweep(engine) == 1


def age(engine: Engine, by: timedelta) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_bundles SET created_at = created_at - :by"), {"by": by})


def kept_after_a_sweep(engine: Engine) -> int:
    sweep(engine, lambda _: None, attempts=3)
    return number_of_rows(engine, "release_bundles")
