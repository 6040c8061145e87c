"""The live state that everyone captures, and the edits of its apps, in plain SQL.

One organization `bench`; each toolset has a project of its own, and both have the same number for a slug:
`bench/17/17`. A project has a deployment of 60 tools and 10 resources, 5 prompt templates and 1 key of configuration;
a toolset lists all 70 and has 10 variations. The last toolsets are kept aside: one to be hot, and cold ones.
"""

from sqlalchemy import Connection, text

ORGANIZATION = "bench"
TOOLS, RESOURCES, TEMPLATES, VARIATIONS = 60, 10, 5, 10
COLD_TOOLSETS = 32

_BUILD = (
    """
    INSERT INTO organizations (slug, name) VALUES ('bench', 'Benchmark')
    """,
    """
    INSERT INTO projects (organization_id, slug, name)
    SELECT id, number::text, 'Project ' || number FROM organizations, generate_series(1, :toolsets) AS number
    """,
    """
    INSERT INTO deployments (project_id, status) SELECT id, 'completed' FROM projects
    """,
    """
    UPDATE projects SET active_deployment_id = deployments.id FROM deployments WHERE project_id = projects.id
    """,
    """
    INSERT INTO deployment_assets (deployment_id, kind, slug, name, sha256, config)
    SELECT id, 'openapiv3', 'api', 'API', encode(sha256(id::text::bytea), 'hex'), '{"version": "3.1"}' FROM deployments
    """,
    """
    INSERT INTO tool_definitions (deployment_id, urn, name, description, definition)
    SELECT deployments.id, 'tools:http:api:tool_' || item, 'tool_' || item, 'Does what tool ' || item || ' does.',
           jsonb_build_object(
               'method', 'POST', 'path', '/v1/things/{thing}/tool_' || item, 'timeout', 30, 'temperature', 0.25,
               'schema', jsonb_build_object('type', 'object', 'required', '["thing"]'::jsonb, 'properties',
                   '{"thing": {"type": "string"}, "limit": {"type": "integer", "maximum": 100}}'::jsonb))
    FROM deployments, generate_series(1, :tools) AS item
    """,
    """
    INSERT INTO resource_definitions (deployment_id, urn, name, definition)
    SELECT deployments.id, 'resources:http:api:resource_' || item, 'resource_' || item,
           jsonb_build_object('uri', 'https://api.example/resources/' || item, 'mimeType', 'application/json')
    FROM deployments, generate_series(1, :resources) AS item
    """,
    """
    INSERT INTO toolsets (organization_id, project_id, slug, name, settings)
    SELECT organization_id, id, slug, 'Toolset ' || slug, '{"auth": {"mode": "oauth"}, "retries": 3}' FROM projects
    """,
    """
    INSERT INTO toolset_tools (toolset_id, tool_urn, position)
    SELECT id, 'tools:http:api:tool_' || item, item - 1 FROM toolsets, generate_series(1, :tools) AS item
    """,
    """
    INSERT INTO toolset_resources (toolset_id, resource_urn, position)
    SELECT id, 'resources:http:api:resource_' || item, item - 1 FROM toolsets, generate_series(1, :resources) AS item
    """,
    """
    INSERT INTO prompt_templates (project_id, name, prompt, arguments)
    SELECT id, 'template_' || item, repeat('Read {{thing}} and say what to do next. ', 5),
           '{"thing": {"type": "string"}}'
    FROM projects, generate_series(1, :templates) AS item
    """,
    """
    INSERT INTO system_configs (project_id, key, value)
    SELECT id, 'model', '{"name": "large", "temperature": 0.2}' FROM projects
    """,
    """
    INSERT INTO variations (organization_id, toolset_id, tool_urn, config)
    SELECT organization_id, id, 'tools:http:api:tool_' || item, '{"description": "Said otherwise.", "confirm": true}'
    FROM toolsets, generate_series(1, :variations) AS item
    """,
)

# Each statement changes one component of every toolset up to `:toolsets`. The apps make a new deployment, a copy with
# one definition changed, as they would for every upload; its idempotency key tells it from the others.
_EDIT = (
    """
    INSERT INTO deployments (project_id, status, cloned_from, idempotency_key)
    SELECT id, 'completed', active_deployment_id, 'edit-' || :epoch FROM projects WHERE slug::int <= :toolsets
    """,
    """
    INSERT INTO deployment_assets (deployment_id, kind, slug, name, sha256, config)
    SELECT deployments.id, kind, slug, name, sha256, config
    FROM deployments JOIN deployment_assets ON deployment_id = cloned_from
    WHERE idempotency_key = 'edit-' || :epoch
    """,
    """
    INSERT INTO tool_definitions (deployment_id, urn, name, description, definition)
    SELECT deployments.id, urn, name, description,
           CASE WHEN urn = 'tools:http:api:tool_1' THEN jsonb_set(definition, '{timeout}', to_jsonb(:number))
                ELSE definition END
    FROM deployments JOIN tool_definitions ON deployment_id = cloned_from
    WHERE idempotency_key = 'edit-' || :epoch
    """,
    """
    INSERT INTO resource_definitions (deployment_id, urn, name, description, definition)
    SELECT deployments.id, urn, name, description, definition
    FROM deployments JOIN resource_definitions ON deployment_id = cloned_from
    WHERE idempotency_key = 'edit-' || :epoch
    """,
    """
    UPDATE projects SET active_deployment_id = deployments.id
    FROM deployments WHERE project_id = projects.id AND idempotency_key = 'edit-' || :epoch
    """,
    """
    UPDATE toolsets SET settings = jsonb_set(settings, '{retries}', to_jsonb(:number)), updated_at = now()
    WHERE slug::int <= :toolsets
    """,
    """
    UPDATE toolset_tools SET position = :number
    FROM toolsets WHERE id = toolset_id AND slug::int <= :toolsets AND tool_urn = 'tools:http:api:tool_1'
    """,
    """
    UPDATE toolset_resources SET position = :number
    FROM toolsets WHERE id = toolset_id AND slug::int <= :toolsets AND resource_urn = 'resources:http:api:resource_1'
    """,
    """
    UPDATE prompt_templates SET prompt = 'Edition ' || :epoch, updated_at = now()
    FROM projects WHERE projects.id = project_id AND slug::int <= :toolsets AND prompt_templates.name = 'template_1'
    """,
    """
    UPDATE variations SET config = jsonb_build_object('edition', :number), updated_at = now()
    FROM toolsets WHERE toolsets.id = toolset_id AND slug::int <= :toolsets AND tool_urn = 'tools:http:api:tool_1'
    """,
)


def build_world(connection: Connection, toolsets: int) -> None:
    """Write it all into an empty database: so many toolsets, a hot one and the cold ones."""
    values = {
        "toolsets": toolsets + 1 + COLD_TOOLSETS,
        "tools": TOOLS,
        "resources": RESOURCES,
        "templates": TEMPLATES,
        "variations": VARIATIONS,
    }
    for statement in _BUILD:
        connection.execute(text(statement), values)


def edit_all(connection: Connection, toolsets: int, epoch: int) -> None:
    """Change every component of the first so many toolsets. An epoch is a number that no earlier edit had."""
    values = {"toolsets": toolsets, "epoch": str(epoch), "number": 1000 + epoch}
    for statement in _EDIT:
        connection.execute(text(statement), values)


def path(number: int) -> str:
    """How a request names the toolset of this number."""
    return f"{ORGANIZATION}/{number}/{number}"


def hot(toolsets: int) -> int:
    """The number of the toolset that is asked for again and again."""
    return toolsets + 1


def cold(toolsets: int) -> list[int]:
    """The numbers of those that are asked for now and then."""
    return [toolsets + 2 + place for place in range(COLD_TOOLSETS)]
