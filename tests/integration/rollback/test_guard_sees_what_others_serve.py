"""A rollback names the toolsets that would serve something else, with what reaches them, and no others.

What each toolset serves is put together in plain Python from live rows, before and after.
"""

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from release_worker.errors import MissingDependencies, SharedStateImpact
from tests.support.exact_json import exact, written
from tests.support.live_state import LiveState, live_state
from tests.support.model import SHARED, served
from tests.support.operations import release, roll_back
from tests.support.strategies import examples_in_one_database
from tests.support.world import Project, Toolset, World

# URNs of some of these slugs, of several, of none, and with too few colons to be of any.
SLUGS = ["a", "a:b", "b"]
TOOLS = [
    *("tools:function:a:x", "tools:function:a:b", "tools:openapiv3:a:b:x", "tools:package:b:x"),
    *("tools:function:ab:x", "tools:function:c:b", "tools:prompt:p", "tools:a"),
]
RESOURCES = ["resources:function:a:r", "resources:function:a:b:r", "resources:function:b"]
PROMPT_TOOLS = [None, "", "tools:prompt:p", "tools:function:a:x"]
KINDS = ["openapiv3", "function", "package"]
VARIATIONS = [{"m": 1}, {"m": 2}, {"n": 1}, {"m": 2, "n": 1}, {}, 1, None, []]

# What toolsets share, as one flat mapping of section and key. A key whose value is GONE is not there, and without a
# status there is no deployment.
Place = tuple[str, str]
Shared = Mapping[Place, Any]
GONE = "gone"
VALUES: Mapping[str, tuple[list[str], list[Any]]] = {
    "status": ([""], ["completed", "pending"]),
    "tools": (TOOLS, [1, 2]),
    "resources": (RESOURCES, [1, 2]),
    "assets": ([f"{kind}/{slug}" for kind in KINDS for slug in SLUGS], list(product("AB", "01", [1, None]))),
    "config": (["k", "l"], [1, 2]),
    "prompts": (["x", "y", "z"], list(product("PQ", PROMPT_TOOLS))),
    "variations": (TOOLS, VARIATIONS),
}
STATES = st.fixed_dictionaries(
    {(section, key): st.sampled_from([*values * 3, GONE]) for section, (keys, values) in VALUES.items() for key in keys}
)


@dataclass(frozen=True)
class Edit:
    """Another value at a place, the so many-th of those that it might have."""

    place: Place
    number: int

    def apply(self, state: Shared) -> Shared:
        possible = [value for value in (*VALUES[self.place[0]][1], GONE) if value != state[self.place]]
        return {**state, self.place: possible[self.number % len(possible)]}


EDITS = st.builds(
    Edit,
    st.sampled_from(["assets", "assets", *VALUES]).flatmap(
        lambda section: st.tuples(st.just(section), st.sampled_from(VALUES[section][0]))
    ),
    st.integers(0, 8),
)


@dataclass(frozen=True)
class Own:
    """The URNs that a toolset lists, and its own variations."""

    listed: Set[str]
    variations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> LiveState:
        variations = {urn: exact(config) for urn, config in self.variations.items() if config != GONE}
        listed = {
            kind: dict.fromkeys(self.listed & urns) for kind, urns in (("tools", {*TOOLS}), ("resources", {*RESOURCES}))
        }
        return {**listed, "toolset_variations": variations}


@dataclass(frozen=True)
class Neighbour:
    toolset: Toolset
    own: Own


@dataclass(frozen=True)
class Round:
    """What apps edit, and how it is rolled back."""

    edits: Sequence[Edit]
    components: Sequence[str] | None
    on_missing: str


COMPONENTS = st.sampled_from(
    [
        None,
        None,
        None,
        None,
        ["deployment"],
        ["system", "global_variations"],
        ["tools", "resources"],
        ["tools", "system"],
    ]
)
ROUNDS = st.builds(Round, st.lists(EDITS, min_size=1, max_size=2), COMPONENTS, st.sampled_from(["skip", "recreate"]))


@given(
    before=STATES,
    listed=st.sets(st.sampled_from([*TOOLS, *RESOURCES])),
    variations=st.fixed_dictionaries({urn: st.sampled_from([GONE, *VARIATIONS]) for urn in TOOLS}),
    rounds=st.lists(ROUNDS, min_size=3, max_size=3),
)
@examples_in_one_database(35)
def test_exactly_those_are_named_who_would_serve_something_else(
    engine: Engine, before: Shared, listed: set[str], variations: Mapping[str, Any], rounds: list[Round]
) -> None:
    world = World(engine)
    organization, rival = (world.organization(f"{name}-{uuid4()}") for name in ("org", "rival"))
    project = organization.project("project")
    with world.transaction() as connection:
        write(connection, project, before)
        billing = add_toolset(connection, project, Own(listed))
        # So that each URN is judged by itself: for each of them a toolset that lists no other.
        here = [Own({urn}, variations) for urn in (*TOOLS, *RESOURCES)] + [Own(listed, variations), Own(set())]
        homes = {project: here, organization.project("far"): [Own(listed, variations)]}
        homes[rival.project("project")] = [Own(listed)]
        neighbours = [
            Neighbour(add_toolset(connection, home, own), own) for home, owns in homes.items() for own in owns
        ]
    release(engine, billing)
    for one in rounds:
        with world.transaction() as connection:
            write(connection, project, reduce(lambda state, edit: edit.apply(state), one.edits, before))
        served_before = serving(engine, neighbours)
        with suppress(MissingDependencies):  # that is decided before others are looked at
            named = restore(engine, billing, {"components": one.components, "on_missing": one.on_missing})
            assert named == differing(served_before, serving(engine, neighbours))


def restore(engine: Engine, toolset: Toolset, options: Mapping[str, Any]) -> dict[str, list[str]]:
    """Roll back to release 1, refused or not; returns who was named in the refusal, with the components."""
    try:
        roll_back(engine, toolset, 1, **options)
    except SharedStateImpact as refused:
        roll_back(engine, toolset, 1, allow_shared_impact=True, **options)
        return {one["path"]: one["components"] for one in refused.details["toolsets"]}
    return {}


def serving(engine: Engine, neighbours: Sequence[Neighbour]) -> dict[str, LiveState]:
    """What each of them serves now, by path. A project's state is read through one of its toolsets."""
    readers = {one.toolset.project.id: one.toolset for one in neighbours}
    shared = {project: live_state(engine, toolset) for project, toolset in readers.items()}
    return {one.toolset.path: served({**shared[one.toolset.project.id], **one.own.state}) for one in neighbours}


def differing(before: Mapping[str, LiveState], after: Mapping[str, LiveState]) -> dict[str, list[str]]:
    return {
        path: sorted(name for name in SHARED if before[path][name] != after[path][name])
        for path in before
        if before[path] != after[path]
    }


def add_toolset(connection: Connection, project: Project, own: Own) -> Toolset:
    toolset = project.toolset(f"toolset-{uuid4()}")
    owner = {"toolset": toolset.id, "organization": project.organization.id}
    rows = {
        "tools": [{**owner, "urn": urn} for urn in own.state["tools"]],
        "resources": [{**owner, "urn": urn} for urn in own.state["resources"]],
        "variations": [
            {**owner, "urn": urn, "config": config} for urn, config in own.state["toolset_variations"].items()
        ],
    }
    for section, owned in rows.items():
        if owned:
            connection.execute(text(ADDED[section]), owned)
    return toolset


def write(connection: Connection, project: Project, state: Shared) -> None:
    """Make this the state of the project and its organization: a new deployment, and all else in place of what is
    there."""
    owner = {"project": project.id, "organization": project.organization.id}
    for statement in CLEARED:
        connection.execute(text(statement), owner)
    there = {place: value for place, value in state.items() if value != GONE}
    deployment: UUID | None = None
    if ("status", "") in there:
        deployment = project.rows.insert("deployments", project_id=project.id, status=there["status", ""])
    project.rows.update("projects", {"id": project.id}, active_deployment_id=deployment)
    for section, statement in WRITTEN.items():
        if deployment or section not in ("tools", "resources", "assets"):
            rows = [
                {**owner, "deployment": deployment, **columns(section, key, value)}
                for (at, key), value in there.items()
                if at == section
            ]
            if rows:
                connection.execute(text(statement), rows)


def columns(section: str, key: str, value: Any) -> dict[str, Any]:
    match section:
        case "assets":
            kind, _, slug = key.partition("/")
            return {"kind": kind, "slug": slug, "name": value[0], "sha256": value[1], "value": written(value[2])}
        case "prompts":
            return {"key": key, "prompt": value[0], "tool_urn": value[1]}
        case _:
            return {"key": key, "value": written(value)}


ADDED = {
    "tools": "INSERT INTO toolset_tools (toolset_id, tool_urn, position) VALUES (:toolset, :urn, 0)",
    "resources": "INSERT INTO toolset_resources (toolset_id, resource_urn, position) VALUES (:toolset, :urn, 0)",
    "variations": """
        INSERT INTO variations (organization_id, toolset_id, tool_urn, config)
        VALUES (:organization, :toolset, :urn, CAST(:config AS jsonb))
    """,
}
CLEARED = (
    "DELETE FROM system_configs WHERE project_id = :project",
    "UPDATE prompt_templates SET deleted_at = now() WHERE project_id = :project",
    "DELETE FROM variations WHERE organization_id = :organization AND toolset_id IS NULL",
)
_DEFINED = "(deployment_id, urn, name, definition) VALUES (:deployment, :key, 'N', CAST(:value AS jsonb))"
WRITTEN = {
    "tools": f"INSERT INTO tool_definitions {_DEFINED}",
    "resources": f"INSERT INTO resource_definitions {_DEFINED}",
    "assets": """
        INSERT INTO deployment_assets (deployment_id, kind, slug, name, sha256, config)
        VALUES (:deployment, :kind, :slug, :name, :sha256, CAST(:value AS jsonb))
    """,
    "config": "INSERT INTO system_configs (project_id, key, value) VALUES (:project, :key, CAST(:value AS jsonb))",
    "prompts": """
        INSERT INTO prompt_templates (project_id, name, prompt, tool_urn) VALUES (:project, :key, :prompt, :tool_urn)
    """,
    "variations": """
        INSERT INTO variations (organization_id, tool_urn, config) VALUES (:organization, :key, CAST(:value AS jsonb))
    """,
}
