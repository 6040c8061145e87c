"""Your own state: a component from outside is captured, compared, restored and checked like those built in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Scope
from release_worker.errors import IntegrityMismatch, InvalidRequest, SharedStateImpact
from release_worker.operations.rollback.plan import plan_rollback
from release_worker.state.registry import Registry, built_in_components, installed_components
from release_worker.store.engine import snapshot_transaction
from release_worker.store.owners.naming import find_toolset
from release_worker.store.releases import releases_of_rollback
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.exact_json import Json, digest, parsed, written
from tests.support.live_state import live_state
from tests.support.operations import ACTOR, drift, release, roll_back
from tests.support.plug_ins import Flags, ToolFlags, create_flags_table, with_plug_ins
from tests.support.records import current_number, number_of_rows, recomputed_digests, release_of, releases_of, tampering
from tests.support.retention import prune
from tests.support.world import Toolset

FLAGS = with_plug_ins(Flags())
WITHOUT = built_in_components()


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    create_flags_table(engine)
    return a_full_toolset(engine)


def set_flags(engine: Engine, billing: Toolset, flags: dict[str, Json], *, scope: Scope = "toolset") -> None:
    """Replace the flags of the toolset, its project or its organization by these."""
    with engine.begin() as connection:
        values = {"owner": owner(billing, scope), "flags": written(flags)}
        connection.execute(text("DELETE FROM flags WHERE owner_id = :owner"), values)
        insert = "INSERT INTO flags SELECT :owner, key, value FROM jsonb_each(CAST(:flags AS jsonb))"
        connection.execute(text(insert), values)


def flags_of(engine: Engine, billing: Toolset, *, scope: Scope = "toolset") -> dict[str, Json]:
    query = text("SELECT name, value::text FROM flags WHERE owner_id = :owner")
    with engine.connect() as connection:
        return {name: parsed(value) for name, value in connection.execute(query, {"owner": owner(billing, scope)})}


def owner(billing: Toolset, scope: Scope) -> object:
    project = billing.project
    return {"toolset": billing.id, "project": project.id, "organization": project.organization.id}[scope]


def verify(engine: Engine, billing: Toolset, number: int, registry: Registry) -> tuple[str, ...]:
    """Plan a rollback, which checks the release's digests first; returns the warnings."""
    request = Rollback(toolset=billing.path, actor=ACTOR, release_number=number, allow_shared_impact=True)
    with snapshot_transaction(engine) as connection:
        subject = find_toolset(connection, billing.path)
        releases = releases_of_rollback(connection, subject, number)
        return plan_rollback(connection, request, registry, subject=subject, releases=releases).warnings


@pytest.mark.parametrize("scope", ["toolset", "project", "organization"])
def test_its_state_is_captured_restored_and_backed_up(engine: Engine, billing: Toolset, scope: Scope) -> None:
    registry = with_plug_ins(Flags(scope=scope))
    old: dict[str, Json] = {"dark": True, "limit": 12345678901234567890}
    new: dict[str, Json] = {"limit": 1, "beta": {"a": []}}
    set_flags(engine, billing, old, scope=scope)
    release(engine, billing, registry=registry)
    set_flags(engine, billing, new, scope=scope)
    moved = drift(engine, billing, registry=registry)
    assert moved.drifted
    assert moved.changes.keys() == {"flags"}
    assert (moved.changes["flags"].added, moved.changes["flags"].removed) == (("beta",), ("dark",))
    others = live_state(engine, billing)

    done = roll_back(engine, billing, 1, registry=registry)
    assert done.changes.keys() == {"flags"}
    assert flags_of(engine, billing, scope=scope) == old
    assert live_state(engine, billing) == others
    assert (done.backup_release_number, done.current_release_number) == (2, 1)
    assert not drift(engine, billing, registry=registry).drifted

    roll_back(engine, billing, 2, registry=registry)
    assert flags_of(engine, billing, scope=scope) == new


def test_a_releases_digest_covers_it(engine: Engine, billing: Toolset) -> None:
    set_flags(engine, billing, {"dark": True})
    release(engine, billing, registry=FLAGS)
    parts = {name: part for name, part in recomputed_digests(engine, billing, 1).items() if name != "release"}
    expected = digest({**parts, "components": {"flags": digest({"dark": True})}})
    assert release_of(engine, billing, 1).digest == expected


def test_equal_content_is_stored_once(engine: Engine, billing: Toolset) -> None:
    for flags in ({"dark": True}, {"dark": False}, {"dark": True}):
        set_flags(engine, billing, flags)
        release(engine, billing, registry=FLAGS)
    assert (number_of_rows(engine, "component_states"), number_of_rows(engine, "release_components")) == (2, 3)
    prune(engine, billing, keep=1)
    assert (number_of_rows(engine, "component_states"), number_of_rows(engine, "release_components")) == (1, 1)


def test_a_release_without_content_removes_what_came_later(engine: Engine, billing: Toolset) -> None:
    release(engine, billing, registry=FLAGS)
    set_flags(engine, billing, {"dark": True})
    done = roll_back(engine, billing, 1, registry=FLAGS)
    assert flags_of(engine, billing) == {}
    assert (done.warnings, done.current_release_number) == ((), 1)
    assert verify(engine, billing, 1, WITHOUT) == ()


def test_it_can_be_rolled_back_by_itself_and_left_alone(engine: Engine, billing: Toolset) -> None:
    set_flags(engine, billing, {"dark": True})
    release(engine, billing, registry=FLAGS)
    for components, flags, name in ((["flags"], {"dark": True}, "Other"), (["settings"], {}, "Billing")):
        set_flags(engine, billing, {})
        billing.edit(name="Other")
        roll_back(engine, billing, 1, registry=FLAGS, components=components)
        assert flags_of(engine, billing) == flags
        assert live_state(engine, billing)["settings"]["name"] == name
    with pytest.raises(InvalidRequest, match="unknown components: flags"):
        roll_back(engine, billing, 1, registry=WITHOUT, components=["flags"])


def test_a_release_that_is_older_than_the_component_leaves_its_state_alone_and_says_so(
    engine: Engine, billing: Toolset
) -> None:
    release(engine, billing, registry=WITHOUT)
    set_flags(engine, billing, {"dark": True})
    billing.edit(name="Other")
    done = roll_back(engine, billing, 1, registry=FLAGS)
    assert flags_of(engine, billing) == {"dark": True}
    assert live_state(engine, billing)["settings"]["name"] == "Billing"
    assert [warning for warning in done.warnings if "captured no flags" in warning]
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "backup", "restored"]
    assert not drift(engine, billing, registry=FLAGS).drifted


def test_a_component_without_content_changes_no_digest(engine: Engine, billing: Toolset) -> None:
    first = release(engine, billing, registry=WITHOUT)
    assert not drift(engine, billing, registry=FLAGS).drifted
    assert release(engine, billing, registry=FLAGS).digest == first.digest


def test_after_it_is_gone_its_releases_still_verify_and_the_rest_of_them_can_be_restored(
    engine: Engine, billing: Toolset
) -> None:
    set_flags(engine, billing, {"dark": True})
    release(engine, billing, registry=FLAGS)
    set_flags(engine, billing, {})
    billing.edit(name="Other")
    assert verify(engine, billing, 1, WITHOUT) == ()
    roll_back(engine, billing, 1, registry=WITHOUT)
    assert live_state(engine, billing)["settings"]["name"] == "Billing"
    assert flags_of(engine, billing) == {}
    assert not drift(engine, billing, registry=WITHOUT).drifted
    roll_back(engine, billing, 1, registry=FLAGS)
    assert flags_of(engine, billing) == {"dark": True}
    assert current_number(engine, billing) == 1


@pytest.mark.parametrize("registry", [FLAGS, WITHOUT], ids=["installed", "gone"])
@pytest.mark.parametrize("content", ["'{\"dark\": false}'", "'null'"])
def test_tampering_with_its_content_is_found(
    engine: Engine, billing: Toolset, registry: Registry, content: str
) -> None:
    set_flags(engine, billing, {"dark": True})
    release(engine, billing, registry=FLAGS)
    with tampering(engine) as connection:
        connection.execute(text(f"UPDATE component_states SET content = {content}"))
    with pytest.raises(IntegrityMismatch):
        verify(engine, billing, 1, registry)


@pytest.mark.parametrize("scope", ["project", "organization"])
def test_shared_state_of_its_own_is_not_restored_under_other_toolsets_unasked(
    engine: Engine, billing: Toolset, scope: Scope
) -> None:
    registry = with_plug_ins(Flags(scope=scope))
    neighbour = billing.project.toolset("neighbour")
    further = billing.project.organization.project("further").toolset("further")
    a_full_toolset(engine, organization="rival")
    release(engine, billing, registry=registry)
    set_flags(engine, billing, {"dark": True}, scope=scope)
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, billing, 1, registry=registry)
    reached = [neighbour.path] if scope == "project" else sorted([further.path, neighbour.path])
    assert [(one["path"], one["components"]) for one in refused.value.details["toolsets"]] == [
        (path, ["flags"]) for path in reached
    ]
    assert flags_of(engine, billing, scope=scope) == {"dark": True}
    done = roll_back(engine, billing, 1, registry=registry, allow_shared_impact=True)
    assert flags_of(engine, billing, scope=scope) == {}
    assert len(done.warnings) == len(reached)


def test_a_component_that_says_whom_a_change_reaches_is_believed(engine: Engine, billing: Toolset) -> None:
    """Of what it names, only other live toolsets count."""
    registry = with_plug_ins(ToolFlags())
    listing = billing.project.toolset("listing", tools=["tools:x", INVOICE])
    billing.project.toolset("deleted", tools=["tools:x"]).delete()
    billing.project.toolset("other", tools=["tools:y"])
    release(engine, billing, registry=registry)
    set_flags(engine, billing, {"tools:x": True, INVOICE: True}, scope="project")
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, billing, 1, registry=registry)
    assert [(one["path"], one["components"]) for one in refused.value.details["toolsets"]] == [
        (listing.path, ["flags"])
    ]
    set_flags(engine, billing, {"tools:z": True}, scope="project")
    assert roll_back(engine, billing, 1, registry=registry).warnings == ()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution with these entry points, and a module `acme_flags`, where Python looks for packages."""
    module = "from tests.support.plug_ins import Flags\nflags, tools = Flags(), Flags(name='tools')\nmore = Flags()\n"
    (tmp_path / "acme_flags.py").write_text(module)

    def installed(**entry_points: str) -> None:
        information = tmp_path / "acme_flags-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-flags\nVersion: 1.0\n")
        lines = ["[release_worker.components]", *(f"{name} = {value}" for name, value in entry_points.items())]
        (information / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(tmp_path)

    yield installed
    sys.modules.pop("acme_flags", None)


def test_an_installed_package_adds_its_component(
    engine: Engine, billing: Toolset, install: Callable[..., None]
) -> None:
    assert installed_components() == built_in_components()
    install(flags="acme_flags:flags")
    found = installed_components()
    assert found.names == (*built_in_components().names, "flags")
    set_flags(engine, billing, {"dark": True})
    release(engine, billing, registry=found)
    set_flags(engine, billing, {})
    roll_back(engine, billing, 1, registry=found)
    assert flags_of(engine, billing) == {"dark": True}


def test_two_components_of_one_name_are_refused(install: Callable[..., None]) -> None:
    install(flags="acme_flags:flags", more="acme_flags:more")
    with pytest.raises(ValueError, match="registered twice: flags"):
        installed_components()


def test_a_component_cannot_take_a_built_in_name(install: Callable[..., None]) -> None:
    install(anything="acme_flags:tools")
    with pytest.raises(ValueError, match="registered twice: tools"):
        installed_components()


def test_a_component_that_cannot_be_imported_is_not_left_out_in_silence(install: Callable[..., None]) -> None:
    install(flags="acme_flags:nothing")
    with pytest.raises(AttributeError, match="nothing"):
        installed_components()


def test_more_plug_ins_than_a_function_has_arguments_are_captured(engine: Engine) -> None:
    toolset = a_full_toolset(engine)
    create_flags_table(engine)
    many = with_plug_ins(*(Flags(name=f"flags_{number}") for number in range(60)))
    made = release(engine, toolset, registry=many)
    again = release(engine, toolset, registry=many, only_if_changed=True)
    assert (made.created, again.created, again.digest) == (True, False, made.digest)
