"""Which other toolsets would serve something else when shared state is restored."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.providers import slugs_of
from release_worker.state.states import State
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT, neighbours


def shared_impact(
    connection: Connection,
    touched: Mapping[str, Sequence[str] | str],
    *,
    live: State,
    target: State,
    plug_in_scopes: Mapping[str, Scope],
) -> list[dict[str, Any]]:
    """`{id, path, components}` of each live toolset, other than the one that is rolled back, that a change of these
    items would reach, by path. `touched` are keys by component, each as a list or a PostgreSQL array.

    - A tool or resource definition reaches the toolsets of the project that list its URN; so does a template with a
      tool URN, before or after.
    - The deployment's status reaches those that list a URN which the live or the restored deployment provides. A
      deployment that comes into being, or goes away, has another status.
    - A function or package asset reaches those that list a URN of its slug: its code is what runs. The configuration of
      an OpenAPI document reaches them too; its name and its checksum do not, for the document is compiled into the
      definitions, which are compared themselves.
    - A URN is of a slug if what follows its second colon is the slug, or begins with the slug and a colon. A slug may
      hold colons: `tools:function:a:b` is of `a` and of `a:b`.
    - System configuration and templates without a tool URN reach every toolset of the project.
    - A global variation reaches the toolsets of the organization that list its URN, if their own variation, laid
      over it field by field, leaves a difference. If the two are not both objects, their own is served alone.
    - A plug-in's state reaches every toolset of the project, or the organization, that it belongs to.
    """
    queries = list(_queries(touched, live, target, plug_in_scopes))
    if not queries:
        return []
    # One statement: all that is said of another toolset is true of the same moment.
    query = " UNION ALL ".join(
        f"SELECT '{component}' AS component, id, path FROM ({_numbered(query, place)}) AS reached"
        for place, (component, query) in enumerate(queries)
    )
    given = {f"touched_{place}": touched[component] for place, (component, _) in enumerate(queries)}
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in live.over(target).query(connection, query, **given):
        found[row.path, str(row.id)].add(row.component)
    return [
        {"id": toolset_id, "path": path, "components": sorted(components)}
        for (path, toolset_id), components in sorted(found.items())
    ]


def reach(affected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whom a change reaches, in words."""
    return [f"changes what {one['path']} serves: {', '.join(one['components'])}" for one in affected]


def _numbered(query: str, place: int) -> str:
    return re.sub(r":touched\b", f":touched_{place}", query)


def _queries(
    touched: Collection[str], live: State, target: State, plug_in_scopes: Mapping[str, Scope]
) -> Iterator[tuple[str, str]]:
    """Of each touched component, queries of the toolsets that it reaches; `:touched` are the keys."""
    if "deployment" in touched:
        yield "deployment", _reached_by_deployment(target["deployment"])
    if "system" in touched:
        yield "system", _REACHED_BY_CONFIGURATION
        yield "system", _reached_by_prompts(live["system"], target["system"])
    if "global_variations" in touched:
        yield "global_variations", _reached_by_variations(target["global_variations"])
    for name, scope in plug_in_scopes.items():
        if name in touched and scope in _IN_SCOPE:
            yield name, _IN_SCOPE[scope]


_IN_SCOPE: Mapping[Scope, str] = {
    "project": neighbours("project"),
    "organization": neighbours("organization"),
}

_REACHED_BY_CONFIGURATION = f"""
    {neighbours("project")}
    AND EXISTS (SELECT FROM unnest(CAST(:touched AS text[])) AS key WHERE key LIKE 'config/%')
"""


def _reached_by_deployment(target: str) -> str:
    """A status reaches by what the live deployment provides: what only the restored one does is touched itself."""
    return f"""
        WITH touched AS MATERIALIZED (
            SELECT split_part(key, '/', 1) AS section, substring(key FROM position('/' IN key) + 1) AS name
            FROM unnest(CAST(:touched AS text[])) AS key),
        active AS MATERIALIZED (SELECT {ACTIVE_DEPLOYMENT} AS id),
        restored AS MATERIALIZED (SELECT {target} -> 'assets' AS content),
        assets AS MATERIALIZED (
            SELECT name AS key, split_part(name, '/', 1) AS kind, substring(name FROM position('/' IN name) + 1) AS slug
            FROM touched WHERE section = 'assets'),
        reaching AS MATERIALIZED (
            SELECT slug FROM assets
            WHERE kind <> 'openapiv3' OR (
                SELECT config FROM deployment_assets live
                WHERE deployment_id = (SELECT id FROM active) AND live.kind = assets.kind AND live.slug = assets.slug
            ) IS DISTINCT FROM (SELECT content FROM restored) -> key -> 'config')
        {neighbours("project")} AND ({_lists_touched("tool")} OR {_lists_touched("resource")})
    """


def _lists_touched(kind: str) -> str:
    """SQL: toolset `t` lists a tool, or a resource, whose definition, status or asset is touched. The first part of a
    slug is looked up before all of its URN's slugs are, which is far quicker for long lists."""
    return f"""
        EXISTS (
            SELECT FROM toolset_{kind}s m WHERE m.toolset_id = t.id AND (
                m.{kind}_urn IN (SELECT name FROM touched WHERE section = '{kind}s')
                OR EXISTS (SELECT FROM touched WHERE section = 'status') AND EXISTS (
                    SELECT FROM {kind}_definitions
                    WHERE deployment_id = (SELECT id FROM active) AND urn = m.{kind}_urn)
                OR split_part(m.{kind}_urn, ':', 3) IN (SELECT split_part(slug, ':', 1) FROM reaching) AND (
                    SELECT bool_or(slug IN (SELECT slug FROM reaching))
                    FROM ({slugs_of(f"m.{kind}_urn")}) AS slugs)))
    """


def _reached_by_prompts(live: str, target: str) -> str:
    """A template without a tool URN, before or after, is one that any toolset may offer."""
    return f"""
        WITH touched AS (
            SELECT value ->> 'tool_urn' AS urn
            FROM (SELECT * FROM jsonb_each({live} -> 'prompts')
                  UNION ALL SELECT * FROM jsonb_each({target} -> 'prompts')) AS templates
            WHERE 'prompts/' || key = ANY (CAST(:touched AS text[])))
        {neighbours("project")} AND (
            EXISTS (SELECT FROM touched WHERE coalesce(urn, '') = '')
            OR EXISTS (SELECT FROM toolset_tools m JOIN touched ON urn = m.tool_urn WHERE m.toolset_id = t.id))
    """


def _reached_by_variations(target: str) -> str:
    return f"""
        WITH touched AS (
            SELECT urn, live.config AS before, {target} -> urn AS after
            FROM unnest(CAST(:touched AS text[])) AS urn
            LEFT JOIN variations live
                ON live.organization_id = :organization_id AND live.toolset_id IS NULL AND live.tool_urn = urn)
        {neighbours("organization")} AND EXISTS (
            SELECT FROM toolset_tools m JOIN touched ON urn = m.tool_urn
            LEFT JOIN variations own
                ON own.organization_id = :organization_id AND own.toolset_id = t.id AND own.tool_urn = m.tool_urn
            WHERE m.toolset_id = t.id
              AND {_overlaid("before", "own.config")} IS DISTINCT FROM {_overlaid("after", "own.config")})
    """


def _overlaid(below: str, above: str) -> str:
    return f"""
        CASE WHEN coalesce(jsonb_typeof({below}), 'object') = 'object'
                  AND coalesce(jsonb_typeof({above}), 'object') = 'object'
             THEN coalesce({below}, '{{}}') || coalesce({above}, '{{}}')
             ELSE coalesce({above}, {below}) END
    """
