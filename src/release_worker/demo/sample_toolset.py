"""A small toolset to try things on: `release-worker dev` puts it into an empty database, and apps are tested on it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.database import Database
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.statements import parsed

SAMPLE = "demo/github/rest"

_TOOLS = (
    ("repos_get", "GET", "/repos/{owner}/{repo}"),
    ("issues_list_for_repo", "GET", "/repos/{owner}/{repo}/issues"),
    ("issues_create", "POST", "/repos/{owner}/{repo}/issues"),
    ("issues_create_comment", "POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("pulls_list", "GET", "/repos/{owner}/{repo}/pulls"),
)

_OWNERS = """
    WITH organization AS (INSERT INTO ours.organizations (slug, name) VALUES (:organization, :name) RETURNING id),
         project AS (
             INSERT INTO ours.projects (organization_id, slug, name) SELECT id, 'github', 'GitHub' FROM organization
             RETURNING id, organization_id)
    INSERT INTO ours.toolsets (organization_id, project_id, slug, name, description, settings)
    SELECT organization_id, id, 'rest', 'GitHub REST', 'Issues and pull requests of a repository', '{"timeout": 30}'
    FROM project
    RETURNING id AS toolset_id, project_id, organization_id
"""

_DEPLOYMENT = """
    INSERT INTO ours.deployments (project_id, status) VALUES (:project_id, 'completed') RETURNING id
"""

_LIVE_STATE = (
    """
    INSERT INTO ours.tool_definitions (deployment_id, urn, name, definition)
    SELECT :deployment_id, value ->> 'urn', value ->> 'name', value -> 'definition'
    FROM jsonb_array_elements(CAST(:tools AS jsonb))
    """,
    """
    INSERT INTO ours.toolset_tools (toolset_id, tool_urn, position)
    SELECT :toolset_id, value ->> 'urn', place - 1
    FROM jsonb_array_elements(CAST(:tools AS jsonb)) WITH ORDINALITY AS tool (value, place)
    """,
    "UPDATE ours.projects SET active_deployment_id = :deployment_id WHERE id = :project_id",
    """
    INSERT INTO ours.prompt_templates (project_id, name, prompt)
    VALUES (:project_id, 'triage', 'Read issue {{number}} and say how urgent it is.')
    """,
    """
    INSERT INTO ours.system_configs (project_id, key, value) VALUES (:project_id, 'model', '{"temperature": 0.2}')
    """,
    """
    INSERT INTO ours.variations (organization_id, toolset_id, tool_urn, config)
    VALUES (:organization_id, :toolset_id, :varied, '{"description": "Open an issue. Search for duplicates first."}')
    """,
)


def load_sample_toolset(database: Database | str) -> bool:
    """Write the toolset `demo/github/rest` if there is no organization yet; whether it was written."""
    engine = make_engine(database)
    try:
        with ledger_transaction(engine) as connection:
            if connection.execute(parsed("SELECT EXISTS (SELECT FROM ours.organizations)")).scalar_one():
                return False
            write_sample_toolset(connection, "demo")
    finally:
        engine.dispose()
    return True


def write_sample_toolset(connection: Connection, organization: str, tools: Sequence[str] = ()) -> str:
    """Write the same toolset into a new organization of this slug, with tools of these names if there are any; returns
    its path."""
    names = {"organization": organization, "name": organization.title()}
    owners = dict(connection.execute(parsed(_OWNERS), names).one()._mapping)
    deployment = connection.execute(parsed(_DEPLOYMENT), owners).scalar_one()
    described = [(name, "POST", f"/{name}") for name in tools] or _TOOLS
    values = {
        **owners,
        "deployment_id": deployment,
        "tools": canonical_json.dumps([_definition(*tool) for tool in described]),
        "varied": _urn(described[0][0] if tools else "issues_create"),
    }
    for statement in _LIVE_STATE:
        connection.execute(parsed(statement), values)
    return f"{organization}/github/rest"


def _definition(name: str, method: str, path: str) -> dict[str, object]:
    return {"urn": _urn(name), "name": name, "definition": {"method": method, "path": path}}


def _urn(name: str) -> str:
    return f"tools:http:github:{name}"
