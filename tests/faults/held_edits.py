"""An app that holds the rows of what it edits: it locks the owners, replaces each component in several statements, and
notes what it wrote."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from tests.faults.commit_log import note_edit
from tests.faults.plan import Edit
from tests.support.exact_json import exact, written

PAIRS = 6
MEMBERS = tuple((f"tools:function:f{pair}:a", f"tools:function:f{pair}:b") for pair in range(PAIRS))
RESOURCES = tuple((f"resources:function:f{pair}:a", f"resources:function:f{pair}:b") for pair in range(PAIRS))

KEYS = ("limit", "model", "region", "tone")

# In the order in which they are locked.
SCOPES = {
    "organization": ("global_variations",),
    "project": ("deployment", "system"),
    "toolset": ("tools", "resources", "settings", "toolset_variations"),
}
OWNER = {component: scope for scope, components in SCOPES.items() for component in components}
LONGEST_THOUGHT = 0.04  # seconds that an app may take between its locks and its writes
Owners = Mapping[str, UUID]  # by scope


def apply_held_edit(connection: Connection, owners: Owners, edit: Edit, *, whole: bool) -> None:
    """Write the edit in the caller's transaction. A `whole` toolset lists one pair, so that it tells one epoch."""
    _hold(connection, owners, edit)
    draw = random.Random(edit.epoch)
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": draw.uniform(0.0, LONGEST_THOUGHT)})
    app = _App(connection, owners, edit.epoch, draw, whole=whole)
    wrote = {component: _REPLACE[component](app) for component in sorted(edit.components)}
    note_edit(connection, owners["toolset"], held=True, wrote=wrote, found=app.found)


def _hold(connection: Connection, owners: Owners, edit: Edit) -> None:
    """The owners' rows, from the organization down. One that is not edited is locked as its foreign keys would lock it
    later: to insert a toolset's variation while somebody holds the organization, and waits for the toolset, would be a
    deadlock."""
    edited = [scope for scope, components in SCOPES.items() if set(components) & set(edit.components)]
    for scope in list(SCOPES)[: list(SCOPES).index(edited[-1]) + 1]:
        lock = f"SELECT FROM {scope}s WHERE id = :id FOR {'UPDATE' if scope in edited else 'KEY SHARE'}"
        connection.execute(text(lock), {"id": owners[scope]})


class _App:
    """Replaces components; each of its methods returns what is there afterwards, as `live_state` shows it. `found`:
    what was there before, if it looked."""

    def __init__(self, connection: Connection, owners: Owners, epoch: int, draw: random.Random, *, whole: bool) -> None:
        self._connection = connection
        self._values = {**owners, "epoch": epoch, "text": str(epoch)}
        self._epoch = epoch
        self._draw = draw
        self.found: dict[str, Any] = {}
        self._value = epoch if whole else draw.randrange(2)
        self._whole = whole

    def tools(self) -> dict[str, Any]:
        return self._list("toolset_tools", "tool_urn", MEMBERS)

    def resources(self) -> dict[str, Any]:
        return self._list("toolset_resources", "resource_urn", RESOURCES)

    def _list(self, table: str, column: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """One pair at the epoch; or any of them at few positions, often what is there but for a pair, so that what one
        app lists, another has listed already. Written by deleting all and inserting, or by leaving what stays."""
        listed = dict(self._run(f"SELECT {column}, position FROM {table} WHERE toolset_id = :toolset").all())
        self.found["tools" if pairs is MEMBERS else "resources"] = listed
        if self._whole:
            wanted = dict.fromkeys(self._draw.choice(pairs), self._epoch)
        elif self._draw.random() < 0.7:
            wanted = dict(listed)
            index = self._draw.randrange(PAIRS)
            for urn in pairs[index]:
                if wanted.pop(urn, None) is None:
                    wanted[urn] = index
        else:
            chosen = self._draw.sample(range(PAIRS), self._draw.randint(0, PAIRS))
            wanted = {urn: index + 10 * self._value for index in chosen for urn in pairs[index]}
        if self._draw.random() < 0.5:
            self._run(f"DELETE FROM {table} WHERE toolset_id = :toolset")
        unwanted = f"DELETE FROM {table} WHERE toolset_id = :toolset AND NOT {column} = ANY (CAST(:urns AS text[]))"
        self._run(unwanted, urns=list(wanted))
        place = f"""
            INSERT INTO {table} AS listed (toolset_id, {column}, position) VALUES (:toolset, :urn, :position)
            ON CONFLICT (toolset_id, {column}) DO UPDATE SET position = excluded.position
            WHERE listed.position <> excluded.position
        """
        for urn, position in wanted.items():
            self._run(place, urn=urn, position=position)
        return wanted

    def settings(self) -> dict[str, Any]:
        settings = {"epoch": self._epoch, "tags": ["a", 1]}
        self._run("UPDATE toolsets SET description = :text WHERE id = :toolset")
        self._run(
            "UPDATE toolsets SET name = 'Toolset ' || :text, settings = CAST(:settings AS jsonb) WHERE id = :toolset",
            settings=written(settings),
        )
        return {"name": f"Toolset {self._epoch}", "description": str(self._epoch), "settings": exact(settings)}

    def deployment(self) -> dict[str, Any]:
        """A new deployment, or the active one's definitions anew. Now and then it lacks a pair of a shared project."""
        active = self._run("SELECT active_deployment_id FROM projects WHERE id = :project").scalar_one()
        lacking = self._draw.randrange(PAIRS) if not self._whole and self._draw.random() < 0.3 else None
        in_place = active is not None and self._draw.random() < 0.4
        insert = "INSERT INTO deployments (project_id, status) VALUES (:project, 'completed') RETURNING id"
        deployment = active if in_place else self._run(insert).scalar_one()
        definition = {"epoch": self._epoch, "rate": 1}
        content: dict[str, Any] = {"status": "completed", "assets": {}}
        for kind, pairs in (("tool", MEMBERS), ("resource", RESOURCES)):
            urns = [urn for index, pair in enumerate(pairs) if index != lacking for urn in pair]
            self._run(f"DELETE FROM {kind}_definitions WHERE deployment_id = :deployment", deployment=deployment)
            define = f"""
                INSERT INTO {kind}_definitions (deployment_id, urn, name, definition)
                SELECT :deployment, urn, urn, CAST(:definition AS jsonb) FROM unnest(CAST(:urns AS text[])) AS urn
            """
            for half in (urns[::2], urns[1::2]):
                self._run(define, deployment=deployment, definition=written(definition), urns=half)
            said = {"description": None, "definition": exact(definition)}
            content[f"{kind}s"] = {urn: {"name": urn, **said} for urn in urns}
        self._run("UPDATE projects SET active_deployment_id = :deployment WHERE id = :project", deployment=deployment)
        return content

    def system(self) -> dict[str, Any]:
        """The configuration anew, or but for what stays; and another prompt."""
        config = {"epoch": self._value, **dict.fromkeys(self._draw.sample(KEYS, self._draw.randint(0, 4)), 1)}
        configure = """
            INSERT INTO system_configs AS now (project_id, key, value)
            VALUES (:project, :key, to_jsonb(CAST(:value AS int)))
            ON CONFLICT (project_id, key) DO UPDATE SET value = excluded.value WHERE now.value <> excluded.value
        """
        prompt = """
            INSERT INTO prompt_templates (project_id, name, prompt, engine, kind)
            VALUES (:project, 'epoch', CAST(CAST(:value AS int) AS text), 'mustache', 'prompt')
        """
        if self._draw.random() < 0.5:
            self._run("DELETE FROM system_configs WHERE project_id = :project")
        unwanted = "DELETE FROM system_configs WHERE project_id = :project AND NOT key = ANY (CAST(:keys AS text[]))"
        self._run(unwanted, keys=list(config))
        for key, value in config.items():
            self._run(configure, key=key, value=value)
        self._run("UPDATE prompt_templates SET deleted_at = now() WHERE project_id = :project AND deleted_at IS NULL")
        self._run(prompt, value=self._value)
        said = {"prompt": str(self._value), "engine": "mustache", "kind": "prompt"}
        return {
            "config": {key: exact(value) for key, value in config.items()},
            "prompts": {"epoch": {**said, "description": None, "arguments": None, "tool_urn": None}},
        }

    def global_variations(self) -> dict[str, Any]:
        return self._vary("toolset_id IS NULL", "NULL")

    def toolset_variations(self) -> dict[str, Any]:
        return self._vary("toolset_id = :toolset", ":toolset")

    def _vary(self, owned: str, owner: str) -> dict[str, Any]:
        """Vary both URNs of the first pair, or (but for a whole toolset, which tells its epoch) neither."""
        urns = MEMBERS[0] if self._whole or self._draw.random() < 0.8 else ()
        vary = f"""
            INSERT INTO variations (organization_id, toolset_id, tool_urn, config)
            VALUES (:organization, {owner}, :urn, jsonb_build_object('epoch', CAST(:value AS int)))
        """
        self._run(f"DELETE FROM variations WHERE organization_id = :organization AND {owned}")
        for urn in urns:
            self._run(vary, urn=urn, value=self._value)
        return {urn: exact({"epoch": self._value}) for urn in urns}

    def _run(self, statement: str, **values: Any) -> Any:
        return self._connection.execute(text(statement), {**self._values, **values})


_REPLACE: Mapping[str, Callable[[_App], dict[str, Any]]] = {
    "tools": _App.tools,
    "resources": _App.resources,
    "settings": _App.settings,
    "deployment": _App.deployment,
    "system": _App.system,
    "global_variations": _App.global_variations,
    "toolset_variations": _App.toolset_variations,
}
