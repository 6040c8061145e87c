"""What organizations, projects and toolsets there are, and what each of them has, with secrets hidden."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.changes import shown_item
from release_worker.domain.editing.owners import (
    ListedItem,
    ListedOrganization,
    ListedProject,
    ShownDeployment,
    ShownOrganization,
    ShownProject,
    ShownToolset,
)
from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.kinds import validate_request, validated
from release_worker.domain.secrets import SecretKeys, hide
from release_worker.state.deployment import deployment
from release_worker.state.membership import Membership, resources, tools
from release_worker.state.settings import settings
from release_worker.state.states import live_state
from release_worker.state.system import system
from release_worker.state.variations import global_variations, toolset_variations
from release_worker.store.owners import describing
from release_worker.store.owners.listing import find_owner_ids
from release_worker.store.owners.naming import find_toolset
from release_worker.store.statements import parsed


def list_organizations(connection: Connection) -> Sequence[ListedOrganization]:
    """All of them, by slug."""
    return describing.organizations(connection)


def list_projects(connection: Connection, *, organization: str | None = None) -> Sequence[ListedProject]:
    """All projects, or those of an organization, a slug or an id, by path. Raises OwnerNotFound."""
    if organization is None:
        return describing.projects(connection)
    named = validated(OwnerName, {"organization": organization})
    return describing.projects(connection, find_owner_ids(connection, named)[0])


def show_organization(connection: Connection, organization: str, secrets: SecretKeys) -> ShownOrganization:
    """What an organization has. Raises OwnerNotFound."""
    organization_id, _ = find_owner_ids(connection, validated(OwnerName, {"organization": organization}))
    [row] = describing.organizations(connection, organization_id)
    return ShownOrganization(
        id=row.id,
        slug=row.slug,
        name=row.name,
        projects=tuple(describing.projects(connection, organization_id)),
        variations=_items(_read(connection, global_variations.capture(), organization_id=organization_id), secrets),
    )


def show_project(
    connection: Connection, project: str, secrets: SecretKeys, *, organization: str | None = None
) -> ShownProject:
    """What a project has. Raises OwnerNotFound."""
    named = validated(OwnerName, {"project": project, "organization": organization})
    organization_id, project_id = find_owner_ids(connection, named)
    assert project_id is not None, "the name of a project was looked up"
    [row] = describing.projects(connection, organization_id, project_id)
    content = _read(connection, system.capture(), project_id=project_id)
    return ShownProject(
        id=row.id,
        organization_id=organization_id,
        path=row.path,
        slug=row.slug,
        name=row.name,
        deployment=_deployment(connection, row, secrets),
        prompts=_items(content["prompts"], secrets),
        config={key: shown_item(f"config/{key}", item, "system", secrets) for key, item in content["config"].items()},
        toolsets=describing.toolset_paths(connection, project_id),
    )


def show_toolset(
    connection: Connection, toolset: str, secrets: SecretKeys, *, organization: str | None = None
) -> ShownToolset:
    """What a toolset has of its own. Raises ToolsetNotFound."""
    named = validate_request("check_drift", {"toolset": toolset, "organization": organization})
    subject = find_toolset(connection, named.toolset, organization=named.organization)
    live = live_state((deployment, system, settings, tools, resources, toolset_variations), subject)
    own = _read(connection, live["settings"], **live.parameters)
    return ShownToolset(
        id=subject.toolset_id,
        project_id=subject.project_id,
        organization_id=subject.organization_id,
        path=subject.path,
        name=own["name"],
        description=own["description"],
        settings=hide(own["settings"], None, secrets)[0],
        tools=_listed(connection, live["tools"], _providers("tools"), live.parameters),
        resources=_listed(connection, live["resources"], _providers("resources"), live.parameters),
        variations=_items(_read(connection, live["toolset_variations"], **live.parameters), secrets),
        **describing.toolset_row(connection, subject.toolset_id),
    )


def _read(connection: Connection, content: str, **parameters: Any) -> Any:
    """The value of a content, with its exact numbers on whichever connection."""
    text = connection.execute(parsed(f"SELECT CAST({content} AS text)"), parameters).scalar_one()
    return None if text is None else canonical_json.loads(text)


def _items(content: Mapping[str, Any] | None, secrets: SecretKeys) -> dict[str, Any]:
    return {key: hide(item, None, secrets)[0] for key, item in sorted((content or {}).items())}


def _deployment(connection: Connection, project: ListedProject, secrets: SecretKeys) -> ShownDeployment | None:
    if project.active_deployment_id is None:
        return None
    summary = f"""
        SELECT json_build_object(
            'status', content -> 'status', 'assets', content -> 'assets',
            'tools', (SELECT count(*) FROM jsonb_object_keys(content -> 'tools')),
            'resources', (SELECT count(*) FROM jsonb_object_keys(content -> 'resources')))
        FROM (SELECT {deployment.capture()} AS content OFFSET 0) AS active
    """
    found = _read(connection, f"({summary})", project_id=project.id)
    return ShownDeployment(**{**found, "id": project.active_deployment_id, "assets": _items(found["assets"], secrets)})


def _providers(kind: str) -> str:
    """SQL: a query of `urn, name`, what provides tools or resources; the name of a definition, NULL for a prompt."""
    definitions = f"SELECT key AS urn, value ->> 'name' AS name FROM jsonb_each({deployment.capture()} -> '{kind}')"
    if kind == "resources":
        return definitions
    prompts = f"SELECT value ->> 'tool_urn', NULL FROM jsonb_each({system.capture()} -> 'prompts')"
    return f"{definitions} UNION ALL {prompts}"


def _listed(
    connection: Connection, content: str, providers: str, parameters: Mapping[str, Any]
) -> tuple[ListedItem, ...]:
    query = f"""
        WITH providers AS MATERIALIZED (SELECT urn, max(name) AS name FROM ({providers}) AS each_one GROUP BY urn)
        SELECT urn, position, name, providers.urn IS NOT NULL AS provided
        FROM ({Membership.listed(content)}) AS listed LEFT JOIN providers USING (urn)
        ORDER BY position, urn COLLATE "C"
    """
    return tuple(ListedItem(**row._mapping) for row in connection.execute(parsed(query), parameters))
