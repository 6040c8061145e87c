"""The same rows, stored and digested by one statement each, with nothing around it."""

from uuid import UUID

from benchmarks.growth_world import Kind

TABLE = """
    CREATE TABLE bare_captures (tool_urns text[], tool_positions int[], definitions jsonb)
"""
EMPTY = "TRUNCATE bare_captures"

_ORDER = 'ORDER BY position, tool_urn COLLATE "C"'
_LISTED = f"array_agg(tool_urn {_ORDER}) AS urns, array_agg(position {_ORDER}) AS positions"
_DEFINED = """
    (SELECT jsonb_object_agg(urn, jsonb_build_object(
        'name', name, 'description', description, 'definition', definition))
     FROM tool_definitions WHERE deployment_id = (SELECT active_deployment_id FROM projects WHERE id = '{project}'))
"""


def insert(kind: Kind, toolset_id: UUID, project_id: UUID) -> str:
    """`INSERT … SELECT array_agg`: a toolset's list of tools, and their definitions where they have some."""
    return f"INSERT INTO bare_captures SELECT {_contents(kind, toolset_id, project_id)};\n"


def select_digest(kind: Kind, toolset_id: UUID, project_id: UUID) -> str:
    """The SHA-256 of the same rows as the text of a JSON document, which is what a digest is said to be."""
    listed = "jsonb_build_object('urns', urns, 'positions', positions)::text"
    return (
        f"SELECT encode(sha256(convert_to({listed} || coalesce(definitions::text, ''), 'UTF8')), 'hex')"
        f" FROM (SELECT {_contents(kind, toolset_id, project_id)}) AS contents;\n"
    )


def select_arrays(kind: Kind, toolset_id: UUID, project_id: UUID) -> str:
    """The SHA-256 of the same rows as PostgreSQL writes arrays, which is less work and no digest of anything."""
    return (
        "SELECT encode(sha256(convert_to(urns::text || positions::text || coalesce(definitions::text, ''), 'UTF8')),"
        f" 'hex') FROM (SELECT {_contents(kind, toolset_id, project_id)}) AS contents;\n"
    )


def _contents(kind: Kind, toolset_id: UUID, project_id: UUID) -> str:
    defined = _DEFINED.format(project=project_id) if kind == "provided" else "NULL::jsonb"
    return f"{_LISTED}, {defined} AS definitions FROM toolset_tools WHERE toolset_id = '{toolset_id}'"
