"""Any history of edits, releases and rollbacks leaves live state and records as a model in plain Python predicts."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from release_worker.domain.requests.rollback import RollbackResult
from release_worker.errors import MissingDependencies, SharedStateImpact, StaleState
from tests.support.exact_json import exact
from tests.support.live_state import live_state
from tests.support.model import COMPONENTS, KINDS, Expected, ProjectModel, ToolsetModel
from tests.support.operations import drift, release, roll_back
from tests.support.records import assert_numbers_and_chain_complete, captured_states, current_number, releases_of
from tests.support.rows import SQL_NULL
from tests.support.world import AssetKind, Deployment, Toolset, World

# Few of each, so that they meet again; some equal as decimals, some only nearly equal.
VALUES = st.sampled_from(
    [1, Decimal("1.0"), True, None, {"a": 1}, {"a": Decimal("1.00"), "b": [None]}, {"b": 2}, "1", {}]
)
URNS = {
    "tools": ["tools:function:f:a", "tools:function:f:b", "tools:package:g:c", "tools:prompt:x:p"],
    "resources": ["resources:function:f:r", "resources:function:h:s"],
}
ASSETS: list[tuple[AssetKind, str]] = [
    *(("function", "f"), ("package", "g"), ("function", "h"), ("function", "f:a"), ("openapiv3", "f")),
]
PROMPT_TOOLS = st.sampled_from([None, "tools:prompt:x:p", "tools:function:f:a"])
POSITIONS = st.integers(0, 3)
GONE = st.sampled_from([False, False, True])
KIND = st.sampled_from(KINDS)
TOOLSET = st.sampled_from(["one", "two"])
ANY_TOOLSET = st.sampled_from(["one", "two", "far"])
# Lists without their providers among them, so that something is missing.
SOME_COMPONENTS = (
    st.none()
    | st.sampled_from([["tools"], ["tools", "resources"], ["tools", "deployment"], ["tools", "system"], ["deployment"]])
    | st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=5, unique=True)
)
TABLES = {"tools": "tool_definitions", "resources": "resource_definitions"}


class History(RuleBasedStateMachine):
    """Toolsets `one` and `two` of a project, and `far` of another one; all start empty."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        world = World(engine)
        self.rows = world.rows
        self.organization = world.organization(f"org-{uuid4()}")
        self.project = self.organization.project("project")
        self.toolsets: dict[str, Toolset] = {slug: self.project.toolset(slug) for slug in ("one", "two")}
        self.toolsets["far"] = self.organization.project("other").toolset("far")
        self.model = ProjectModel({slug: empty_toolset(slug) for slug in self.toolsets})

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """With something to lose: everything is defined and listed, and both toolsets are released."""
        self.deploy(data)
        for kind, urns in URNS.items():
            for urn in urns:
                self.write_definition(kind, urn, None, 1)
                for slug in self.toolsets:
                    self.list_at(slug, kind, urn, 0)
        for kind, slug in ASSETS:
            self.write_asset(kind, slug, "0", 1)
        self.write_prompt("x", {"prompt": "P", "tool_urn": "tools:prompt:x:p"}, SQL_NULL)
        for slug in ("one", "two"):
            self.release(slug, only_if_changed=False)

    # What the apps do

    @rule(data=st.data(), edits=st.integers(1, 4))
    def edit(self, data: st.DataObject, edits: int) -> None:
        choices = [self.list_one, self.unlist_one, self.edit_settings, self.vary, self.configure]
        choices += [self.change_prompt, self.deploy, self.activate, self.delete_deployment]
        choices += [self.define, self.define, self.attach] if self.model.active else []
        for _ in range(edits):
            choice = data.draw(st.sampled_from([one.__name__ for one in choices]))
            getattr(self, choice)(data)

    def list_one(self, data: st.DataObject) -> None:
        kind = data.draw(KIND)
        self.list_at(data.draw(ANY_TOOLSET), kind, data.draw(st.sampled_from(URNS[kind])), data.draw(POSITIONS))

    def list_at(self, slug: str, kind: str, urn: str, position: int) -> None:
        listed, table, column = self.model.toolsets[slug].own[kind], f"toolset_{kind}", f"{kind.removesuffix('s')}_urn"
        key = {"toolset_id": self.toolsets[slug].id, column: urn}
        if urn in listed:
            self.rows.update(table, key, position=position)
        else:
            self.rows.insert(table, **key, position=position)
        listed[urn] = position

    def unlist_one(self, data: st.DataObject) -> None:
        slug, kind = data.draw(ANY_TOOLSET), data.draw(KIND)
        urn = data.draw(st.sampled_from(URNS[kind]))
        key = {"toolset_id": self.toolsets[slug].id, f"{kind.removesuffix('s')}_urn": urn}
        self.rows.delete(f"toolset_{kind}", key)
        self.model.toolsets[slug].own[kind].pop(urn, None)

    def edit_settings(self, data: st.DataObject) -> None:
        slug, value = data.draw(TOOLSET), data.draw(VALUES)
        name, description = data.draw(st.sampled_from("AB")), data.draw(st.sampled_from([None, "", "C"]))
        self.toolsets[slug].edit(name=name, description=description, settings=value)
        content = {"name": name, "description": description, "settings": exact(value)}
        self.model.toolsets[slug].own["settings"] = content

    def vary(self, data: st.DataObject) -> None:
        slug, urn = data.draw(st.none() | ANY_TOOLSET), data.draw(st.sampled_from(URNS["tools"]))
        owner = self.organization if slug is None else self.toolsets[slug]
        content = self.model.global_variations if slug is None else self.model.toolsets[slug].own["toolset_variations"]
        if data.draw(GONE):
            owner.unvary(urn)
            content.pop(urn, None)
        else:
            value = data.draw(VALUES)
            owner.vary(urn, value)
            content[urn] = exact(value)

    def configure(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(["k", "l"]))
        if data.draw(GONE):
            self.project.unconfigure(key)
            self.model.system["config"].pop(key, None)
        else:
            value = data.draw(VALUES)
            self.project.configure(key, value)
            self.model.system["config"][key] = exact(value)

    def change_prompt(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(["x", "y"]))
        if data.draw(GONE):
            self.project.delete_prompt(name)
            self.model.system["prompts"].pop(name, None)
        else:
            columns = {"prompt": data.draw(st.sampled_from("PQ")), "tool_urn": data.draw(PROMPT_TOOLS)}
            self.write_prompt(name, columns, data.draw(st.just(SQL_NULL) | VALUES))

    def write_prompt(self, name: str, columns: dict[str, Any], arguments: Any) -> None:
        prompts = self.model.system["prompts"]
        write = self.project.edit_prompt if name in prompts else self.project.add_prompt
        write(name, **columns, arguments=arguments)
        fixed = {"description": None, "engine": "mustache", "kind": "prompt"}
        prompts[name] = {**columns, **fixed, "arguments": None if arguments is SQL_NULL else exact(arguments)}

    def deploy(self, data: st.DataObject) -> None:
        """A new deployment becomes active: an empty one, or a copy of the active one."""
        source = self.model.active if data.draw(st.booleans()) else None
        status = data.draw(st.sampled_from(["completed", "pending"]))
        deployment = self.project.deploy()
        self.rows.update("deployments", {"id": deployment.id}, status=status, cloned_from=source)
        content: dict[str, Any] = {"assets": {}, "tools": {}, "resources": {}}
        if source is not None:
            content = deepcopy(self.model.deployments[source])
            self.copy_rows(source, deployment)
        self.model.deployments[deployment.id] = {**content, "status": status}
        self.model.active = deployment.id

    def copy_rows(self, source: object, deployment: Deployment) -> None:
        tables = {
            "deployment_assets": "kind, slug, name, sha256, config",
            "tool_definitions": "urn, name, description, definition",
            "resource_definitions": "urn, name, description, definition",
        }
        with self.rows.transaction() as connection:
            for table, columns in tables.items():
                connection.exec_driver_sql(
                    f"INSERT INTO {table} (deployment_id, {columns})"
                    f" SELECT %(to)s, {columns} FROM {table} WHERE deployment_id = %(from)s",
                    {"to": deployment.id, "from": source},
                )

    def activate(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from([None, *self.model.deployments]))
        self.project.activate(Deployment(self.rows, chosen) if chosen else None)
        self.model.active = chosen

    def delete_deployment(self, data: st.DataObject) -> None:
        """The active one too: the project is then without one."""
        if self.model.deployments:
            chosen = data.draw(st.sampled_from(list(self.model.deployments)))
            if chosen == self.model.active:
                self.project.activate(None)
                self.model.active = None
            Deployment(self.rows, chosen).delete()
            del self.model.deployments[chosen]

    def define(self, data: st.DataObject) -> None:
        kind = data.draw(KIND)
        urn = data.draw(st.sampled_from(URNS[kind]))
        if self.model.active and data.draw(GONE):
            self.rows.delete(TABLES[kind], {"deployment_id": self.model.active, "urn": urn})
            self.model.deployments[self.model.active][kind].pop(urn, None)
        elif self.model.active:
            self.write_definition(kind, urn, data.draw(st.sampled_from([None, "D"])), data.draw(VALUES))

    def write_definition(self, kind: str, urn: str, description: str | None, value: Any) -> None:
        active = self.model.active
        assert active is not None
        columns = {"name": "N", "description": description, "definition": value}
        self.rows.delete(TABLES[kind], {"deployment_id": active, "urn": urn})
        self.rows.insert(TABLES[kind], deployment_id=active, urn=urn, **columns)
        self.model.deployments[active][kind][urn] = {**columns, "definition": exact(value)}

    def attach(self, data: st.DataObject) -> None:
        kind, slug = data.draw(st.sampled_from(ASSETS))
        if self.model.active and data.draw(GONE):
            Deployment(self.rows, self.model.active).detach(kind, slug)
            self.model.deployments[self.model.active]["assets"].pop(f"{kind}/{slug}", None)
        elif self.model.active:
            self.write_asset(kind, slug, data.draw(st.sampled_from("01")), data.draw(VALUES))

    def write_asset(self, kind: AssetKind, slug: str, sha256: str, value: Any) -> None:
        active = self.model.active
        assert active is not None
        deployment = Deployment(self.rows, active)
        deployment.detach(kind, slug)
        deployment.attach(kind, slug, value, name="N", sha256=sha256)
        asset = {"name": "N", "sha256": sha256, "config": exact(value)}
        self.model.deployments[active]["assets"][f"{kind}/{slug}"] = asset

    # What the worker does

    @rule(slug=TOOLSET, only_if_changed=st.booleans())
    def release(self, slug: str, only_if_changed: bool) -> None:
        made = release(self.engine, self.toolsets[slug], only_if_changed=only_if_changed)
        wanted = not only_if_changed or bool(self.model.drifted(slug)) or self.model.toolsets[slug].current is None
        assert made.created == wanted
        if wanted:
            self.model.release(slug)
        assert made.release_number == self.model.toolsets[slug].current
        self.check_records(slug)

    @rule(
        slug=TOOLSET,
        components=SOME_COMPONENTS,
        on_missing=st.sampled_from(["fail", "skip", "recreate"]),
        allowed=st.sampled_from([True, True, False]),
        edits=st.integers(0, 3),
        data=st.data(),
    )
    def roll_back(
        self,
        slug: str,
        components: list[str] | None,
        on_missing: str,
        allowed: bool,
        edits: int,
        data: st.DataObject,
    ) -> None:
        self.edit(data, edits)
        number = data.draw(st.integers(1, len(self.model.toolsets[slug].releases)))
        self.roll_back_to(slug, number, components, on_missing, allowed)

    @precondition(lambda self: self.backed_up())
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        slug = data.draw(st.sampled_from(self.backed_up()))
        number = max(n for n, kind in enumerate(self.model.toolsets[slug].kinds, start=1) if kind == "backup")
        self.roll_back_to(slug, number, None, "fail", allowed=True)
        assert self.model.live(slug) == self.model.toolsets[slug].releases[number - 1]

    def roll_back_to(
        self, slug: str, number: int, components: list[str] | None, on_missing: str, allowed: bool
    ) -> None:
        expected = self.model.expect(slug, number, tuple(components or COMPONENTS), on_missing)
        noop = self.model.is_noop(slug, number, expected)
        options: dict[str, Any] = {"components": components, "on_missing": on_missing, "allow_shared_impact": allowed}

        def attempt(dry_run: bool) -> RollbackResult:
            return roll_back(self.engine, self.toolsets[slug], number, dry_run=dry_run, **options)

        if expected.missing or (expected.impact and not allowed):
            self.check_refusal(expected, attempt)
            return
        original = self.model.original_of(slug, number)
        planned, done = attempt(True), attempt(False)
        assert set(planned.changes) == set(done.changes) == expected.changed
        assert (planned.noop, done.noop) == (noop, noop)
        for other in expected.impact:
            assert [warning for warning in done.warnings if self.toolsets[other].path in warning]
        if noop:
            return
        active = self.project.active()
        backed_up = self.model.roll_back(slug, number, expected, active.id if active else None)
        assert (done.backup_release_number is not None) == backed_up
        assert done.current_release_number == self.model.toolsets[slug].current
        if "deployment" in (components or COMPONENTS) and "deployment" in expected.changed and original:
            assert active is not None
            assert active.id == original
        self.check_records(slug)

    def check_refusal(self, expected: Expected, attempt: Callable[[bool], RollbackResult]) -> None:
        with pytest.raises((MissingDependencies, SharedStateImpact)) as refused:
            attempt(False)
        if expected.missing:
            assert refused.value.details == expected.missing
        else:
            named = {one["path"]: one["components"] for one in refused.value.details["toolsets"]}
            assert named == {self.toolsets[other].path: names for other, names in expected.impact.items()}
        assert attempt(True).refused == refused.value.as_record()

    @rule(slug=TOOLSET, wrong=st.integers(1, 3))
    def refuse_a_stale_caller(self, slug: str, wrong: int) -> None:
        stale = (self.model.toolsets[slug].current or 0) + wrong
        with pytest.raises(StaleState):
            release(self.engine, self.toolsets[slug], expected_current_release=stale)
        with pytest.raises(StaleState):
            roll_back(self.engine, self.toolsets[slug], 1, expected_current_release=stale)

    # What holds after every step

    @invariant()
    def live_state_is_as_predicted(self) -> None:
        for slug in ("one", "two"):
            assert live_state(self.engine, self.toolsets[slug]) == self.model.live(slug)

    def check_records(self, slug: str) -> None:
        """After an operation that succeeded."""
        toolset, model = self.toolsets[slug], self.model.toolsets[slug]
        found = drift(self.engine, toolset)
        assert (found.drifted, found.changes) == (False, {})
        assert found.current_release_number == current_number(self.engine, toolset) == model.current
        assert captured_states(self.engine, toolset) == dict(enumerate(model.releases, start=1))
        assert [row.kind for row in releases_of(self.engine, toolset)] == model.kinds
        assert_numbers_and_chain_complete(self.engine, toolset)

    def teardown(self) -> None:
        for slug in ("one", "two"):
            toolset, model = self.toolsets[slug], self.model.toolsets[slug]
            assert captured_states(self.engine, toolset) == dict(enumerate(model.releases, start=1))
            found = drift(self.engine, toolset)
            assert found.drifted == (model.current is None or bool(self.model.drifted(slug)))
            assert set(found.changes) == (self.model.drifted(slug) if model.current else set())

    def backed_up(self) -> list[str]:
        return [slug for slug in ("one", "two") if "backup" in self.model.toolsets[slug].kinds]


def empty_toolset(slug: str) -> ToolsetModel:
    own = {
        "tools": {},
        "resources": {},
        "settings": {"name": slug.title(), "description": None, "settings": "{}"},
        "toolset_variations": {},
    }
    return ToolsetModel(own, elsewhere=slug == "far")


def test_every_history_leaves_what_the_model_predicts(engine: Engine) -> None:
    class HistoryHere(History):
        def __init__(self) -> None:
            super().__init__(engine)

    bounds = settings(max_examples=settings().max_examples // 3, stateful_step_count=30)
    run_state_machine_as_test(HistoryHere, settings=bounds)
