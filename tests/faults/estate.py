"""The toolsets under load, and the apps that edit them.

Every edit, whether it holds what it edits or not, writes its epoch in at least two places of each component that it
touches, in one transaction. A component whose places disagree, live or in a release, was torn.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from tests.faults.commit_log import note_edit, start_log
from tests.faults.held_edits import MEMBERS, PAIRS, RESOURCES, apply_held_edit
from tests.faults.plan import TOOLSETS, Edit, is_whole
from tests.support.exact_json import written
from tests.support.rows import Rows
from tests.support.world import Organization, Project, Toolset, World


@dataclass(frozen=True)
class Place:
    """One toolset under load."""

    id: UUID
    path: str
    project_id: UUID
    organization_id: UUID
    whole: bool

    @property
    def owners(self) -> dict[str, UUID]:
        """Ids by scope."""
        return {"organization": self.organization_id, "project": self.project_id, "toolset": self.id}

    @property
    def toolset(self) -> Toolset:
        """As `tests.support` names it, for reading only."""
        organization, project, toolset = self.path.split("/")
        rows = Rows.__new__(Rows)
        owner = Organization(rows, self.organization_id, organization)
        return Toolset(rows, self.id, Project(rows, self.project_id, owner, project), toolset)


def build_estate(engine: Engine) -> list[Place]:
    """Two organizations with a project each; all toolsets but the last share the first. The log starts here."""
    world = World(engine)
    with world.transaction():
        shared = world.organization("acme").project("shared")
        alone = world.organization("solo").project("alone")
        toolsets = [(alone if is_whole(index) else shared).toolset(f"toolset-{index}") for index in range(TOOLSETS)]
    places = [
        Place(one.id, one.path, one.project.id, one.project.organization.id, is_whole(index))
        for index, one in enumerate(toolsets)
    ]
    with engine.begin() as connection:
        start_log(connection)
        for index, place in enumerate(places):
            apply_edit(connection, place, Edit(0.0, index, 0, tuple(_EDITS), held=True))
    return places


def apply_edit(connection: Connection, place: Place, edit: Edit) -> None:
    """Write the edit in the caller's transaction, and note it.

    An edit that holds nothing changes only a part of each component. A toolset that is edited as a whole lists only
    what its epoch says, and its app writes to the toolset's own row first, as any two transactions must that replace
    the same rows in READ COMMITTED: it then waits for a rollback of the toolset, or the rollback for it.
    """
    if edit.held:
        apply_held_edit(connection, place.owners, edit, whole=place.whole)
        return
    values = {
        **place.owners,
        "epoch": edit.epoch,
        "text": str(edit.epoch),
    }
    draw = random.Random(edit.epoch)
    for component in sorted(edit.components, key=lambda name: name != "settings"):
        _EDITS[component](connection, place, draw, values)
    note_edit(connection, place.id, held=False, wrote=dict.fromkeys(edit.components))


def _edit_tools(connection: Connection, place: Place, draw: random.Random, values: Mapping[str, Any]) -> None:
    _list(connection, place, draw, values, table="toolset_tools", column="tool_urn", pairs=MEMBERS)


def _edit_resources(connection: Connection, place: Place, draw: random.Random, values: Mapping[str, Any]) -> None:
    _list(connection, place, draw, values, table="toolset_resources", column="resource_urn", pairs=RESOURCES)


def _list(
    connection: Connection,
    place: Place,
    draw: random.Random,
    values: Mapping[str, Any],
    *,
    table: str,
    column: str,
    pairs: Sequence[tuple[str, str]],
) -> None:
    """List one pair, or no longer, at two positions that say the epoch; of a whole toolset, exactly one pair."""
    pair = pairs[draw.randrange(PAIRS)]
    place_pair = text(f"""
        INSERT INTO {table} (toolset_id, {column}, position)
        SELECT :toolset, urn, :epoch FROM unnest(CAST(:urns AS text[])) AS urn ORDER BY urn
        ON CONFLICT (toolset_id, {column}) DO UPDATE SET position = excluded.position
    """)
    remove = text(f"DELETE FROM {table} WHERE toolset_id = :toolset AND {column} = ANY (CAST(:urns AS text[]))")
    others = [urn for other in pairs if other != pair for urn in other]
    if place.whole:
        connection.execute(remove, {**values, "urns": others})
    if place.whole or draw.random() < 0.7:
        connection.execute(place_pair, {**values, "urns": list(pair)})
    else:
        connection.execute(remove, {**values, "urns": list(pair)})


def _edit_settings(connection: Connection, _place: Place, _draw: random.Random, values: Mapping[str, Any]) -> None:
    statement = """
        UPDATE toolsets
        SET description = :text,
            settings = jsonb_build_object('epoch', CAST(:epoch AS int), 'tags', CAST('["a", 1.50]' AS jsonb))
        WHERE id = :toolset
    """
    connection.execute(text(statement), values)


def _edit_deployment(connection: Connection, place: Place, draw: random.Random, values: Mapping[str, Any]) -> None:
    """A new deployment, or all of the active one in place. Now and then it lacks a pair of a shared project."""
    active = text("SELECT active_deployment_id FROM projects WHERE id = :project FOR NO KEY UPDATE")
    deployment = connection.execute(active, values).scalar_one()
    definition = written({"epoch": values["epoch"], "rate": 1})
    if deployment is not None and draw.random() < 0.4:
        for table in ("tool_definitions", "resource_definitions"):
            statement = f"UPDATE {table} SET definition = CAST(:definition AS jsonb) WHERE deployment_id = :deployment"
            connection.execute(text(statement), {"definition": definition, "deployment": deployment})
        return
    lacking = draw.randrange(PAIRS) if not place.whole and draw.random() < 0.3 else None
    statement = "INSERT INTO deployments (project_id, status) VALUES (:project, 'completed') RETURNING id"
    deployment = connection.execute(text(statement), values).scalar_one()
    for table, pairs in (("tool_definitions", MEMBERS), ("resource_definitions", RESOURCES)):
        urns = [urn for index, pair in enumerate(pairs) if index != lacking for urn in pair]
        statement = f"""
            INSERT INTO {table} (deployment_id, urn, name, definition)
            SELECT :deployment, urn, urn, CAST(:definition AS jsonb) FROM unnest(CAST(:urns AS text[])) AS urn
        """
        connection.execute(text(statement), {"deployment": deployment, "definition": definition, "urns": urns})
    point = text("UPDATE projects SET active_deployment_id = :deployment WHERE id = :project")
    connection.execute(point, {**values, "deployment": deployment})


def _edit_system(connection: Connection, _place: Place, _draw: random.Random, values: Mapping[str, Any]) -> None:
    configure = """
        INSERT INTO system_configs (project_id, key, value) VALUES (:project, 'epoch', to_jsonb(CAST(:epoch AS int)))
        ON CONFLICT (project_id, key) DO UPDATE SET value = excluded.value
    """
    prompt = """
        INSERT INTO prompt_templates (project_id, name, prompt) VALUES (:project, 'epoch', :text)
        ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO UPDATE SET prompt = excluded.prompt
    """
    connection.execute(text(configure), values)
    connection.execute(text(prompt), values)


def _edit_global(connection: Connection, _place: Place, draw: random.Random, values: Mapping[str, Any]) -> None:
    _vary(connection, draw, {**values, "owner": None})


def _edit_own(connection: Connection, _place: Place, draw: random.Random, values: Mapping[str, Any]) -> None:
    _vary(connection, draw, {**values, "owner": values["toolset"]})


def _vary(connection: Connection, draw: random.Random, values: Mapping[str, Any]) -> None:
    """Vary both URNs of the first pair, or neither."""
    given = {**values, "urns": list(MEMBERS[0])}
    if values["owner"] is None and draw.random() < 0.2 and values["epoch"] % 2:
        remove = """
            DELETE FROM variations WHERE organization_id = :organization AND tool_urn = ANY (CAST(:urns AS text[]))
            AND toolset_id IS NOT DISTINCT FROM CAST(:owner AS uuid)
        """
        connection.execute(text(remove), given)
        return
    vary = """
        INSERT INTO variations (organization_id, toolset_id, tool_urn, config)
        SELECT :organization, CAST(:owner AS uuid), urn, jsonb_build_object('epoch', CAST(:epoch AS int))
        FROM unnest(CAST(:urns AS text[])) AS urn ORDER BY urn
        ON CONFLICT (organization_id, toolset_id, tool_urn) DO UPDATE SET config = excluded.config
    """
    connection.execute(text(vary), given)


_EDITS = {
    "tools": _edit_tools,
    "resources": _edit_resources,
    "settings": _edit_settings,
    "deployment": _edit_deployment,
    "system": _edit_system,
    "global_variations": _edit_global,
    "toolset_variations": _edit_own,
}
