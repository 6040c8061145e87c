"""The app whose toolset this is. It knows nothing of releases: it writes live state by plain SQL, as any app would."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from release_worker.demo.catalogue import Catalogue
from release_worker.demo.database import Database, Execute

TOOLSET = "demo/github/rest"
NAME = "GitHub REST"
NEW_NAME = "GitHub REST for triage"
TRIAGE = "Read the issue {{number}} of {{repository}} and say who should look at it first."
REWORDED = "Read issue {{number}} of {{repository}}. Name one team, and quote the sentence that decided it."
VARIED = "tools:http:github:issues_list"
NOT_LISTED = ("tools:http:github:meta_get_octocat", "tools:http:github:meta_get_zen")

_ADD_DEFINITIONS = """
    INSERT INTO ours.tool_definitions (deployment_id, urn, name, definition)
    SELECT %(deployment)s, tool ->> 'urn', tool ->> 'name', tool - 'urn' - 'name'
    FROM jsonb_array_elements(%(catalogue)s::jsonb) AS tool
"""
_LIST_NEW_TOOLS = """
    INSERT INTO ours.toolset_tools (toolset_id, tool_urn, position)
    SELECT %(toolset)s, urn, (SELECT count(*) FROM ours.toolset_tools WHERE toolset_id = %(toolset)s)
                             + row_number() OVER (ORDER BY urn COLLATE "C") - 1
    FROM ours.tool_definitions
    WHERE deployment_id = %(deployment)s
      AND urn NOT IN (SELECT tool_urn FROM ours.toolset_tools WHERE toolset_id = %(toolset)s)
    RETURNING tool_urn
"""
_CHANGED = """
    SELECT count(*) FROM ours.tool_definitions AS old JOIN ours.tool_definitions AS new USING (urn)
    WHERE old.deployment_id = %(previous)s AND new.deployment_id = %(deployment)s AND old.definition <> new.definition
"""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a deployment brought."""

    tools_added: int
    definitions_changed: int


class GitHubApp:
    """Owns organization `demo`, project `github` and toolset `rest`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_up(self) -> None:
        """Make the three, still empty. Their ids are `organization`, `project` and `toolset` in every statement."""
        names = self._database.names
        with self._database.transaction() as execute:
            names["organization"] = _id(
                execute("INSERT INTO ours.organizations (slug, name) VALUES ('demo', 'Demo') RETURNING id")
            )
            project = """
                INSERT INTO ours.projects (organization_id, slug, name) VALUES (%(organization)s, 'github', 'GitHub')
                RETURNING id
            """
            names["project"] = _id(execute(project, **names))
            toolset = """
                INSERT INTO ours.toolsets (organization_id, project_id, slug, name)
                VALUES (%(organization)s, %(project)s, 'rest', %(name)s) RETURNING id
            """
            names["toolset"] = _id(execute(toolset, name=NAME))

    def deploy(self, catalogue: Catalogue) -> Upgrade:
        """A new deployment of the catalogue becomes the active one; tools that are new go to the end of the list."""
        with self._database.transaction() as execute:
            [(previous,)] = execute("SELECT active_deployment_id FROM ours.projects WHERE id = %(project)s")
            made = "INSERT INTO ours.deployments (project_id, status) VALUES (%(project)s, 'completed') RETURNING id"
            deployment = _id(execute(made))
            _attach(execute, deployment, catalogue)
            execute(_ADD_DEFINITIONS, deployment=deployment, catalogue=catalogue.text)
            execute("UPDATE ours.projects SET active_deployment_id = %(id)s WHERE id = %(project)s", id=deployment)
            added = execute(_LIST_NEW_TOOLS, deployment=deployment)
            [(changed,)] = execute(_CHANGED, previous=previous, deployment=deployment)
        return Upgrade(len(added), changed)

    def add_prompts(self) -> None:
        """Two prompt templates, two keys of system configuration, a global variation and two of the toolset's own."""
        with self._database.transaction() as execute:
            _add_prompt(execute, "triage", TRIAGE, {"number": {"type": "integer"}, "repository": {"type": "string"}})
            _add_prompt(execute, "release_notes", "Summarise what was merged since {{tag}}.", None)
            _configure(execute, "model", {"name": "large", "temperature": 0.2})
            _configure(execute, "rate_limit", {"requests": 5000, "per": "hour"})
            _vary(execute, "tools:http:github:issues_create", {"description": "Open an issue."}, owner=None)
            _vary(
                execute,
                "tools:http:github:repos_delete",
                {"confirm": True, "description": "Delete a repository for good."},
            )
            _vary(execute, "tools:http:github:search_code", {"name": "find_code", "summarizer": "head"})

    def edit(self) -> None:
        """What happens on an ordinary afternoon: a prompt, a variation, the list of tools, the toolset's name."""
        with self._database.transaction() as execute:
            execute(
                "UPDATE ours.prompt_templates SET prompt = %(prompt)s, updated_at = now()"
                " WHERE project_id = %(project)s AND name = 'triage'",
                prompt=REWORDED,
            )
            _vary(execute, VARIED, {"description": "List issues, newest first."})
            execute(
                "DELETE FROM ours.toolset_tools WHERE toolset_id = %(toolset)s AND tool_urn = ANY (%(urns)s)",
                urns=list(NOT_LISTED),
            )
            execute(
                "UPDATE ours.toolsets SET name = %(name)s, updated_at = now() WHERE id = %(toolset)s", name=NEW_NAME
            )


def _attach(execute: Execute, deployment: UUID, catalogue: Catalogue) -> None:
    asset = """
        INSERT INTO ours.deployment_assets (deployment_id, kind, slug, name, sha256, config)
        VALUES (%(deployment)s, 'openapiv3', 'github', 'GitHub Enterprise Server', %(sha256)s, %(config)s::jsonb)
    """
    config = json.dumps({"version": catalogue.version})
    execute(asset, deployment=deployment, sha256=catalogue.sha256, config=config)


def _add_prompt(execute: Execute, name: str, prompt: str, arguments: Any) -> None:
    template = """
        INSERT INTO ours.prompt_templates (project_id, name, prompt, arguments)
        VALUES (%(project)s, %(name)s, %(prompt)s, %(arguments)s::jsonb)
    """
    execute(template, name=name, prompt=prompt, arguments=None if arguments is None else json.dumps(arguments))


def _configure(execute: Execute, key: str, value: Any) -> None:
    config = "INSERT INTO ours.system_configs (project_id, key, value) VALUES (%(project)s, %(key)s, %(value)s::jsonb)"
    execute(config, key=key, value=json.dumps(value))


def _vary(execute: Execute, urn: str, config: Any, *, owner: str | None = "toolset") -> None:
    variation = f"""
        INSERT INTO ours.variations (organization_id, toolset_id, tool_urn, config)
        VALUES (%(organization)s, {"NULL" if owner is None else "%(toolset)s"}, %(urn)s, %(config)s::jsonb)
    """
    execute(variation, urn=urn, config=json.dumps(config))


def _id(rows: list[tuple[Any, ...]]) -> UUID:
    [(row_id,)] = rows
    return UUID(str(row_id))
