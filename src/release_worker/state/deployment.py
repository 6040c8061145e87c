"""The project's active deployment: its assets, and the definitions of the tools and resources that it provides."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff, members, once
from release_worker.state.urns import slugs_of
from release_worker.store.owners.pointing import activate_deployment
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT, neighbours
from release_worker.store.sending import send
from release_worker.store.statements import parsed

_STATUS = "SELECT 'status' AS key, {0} -> 'status' AS item WHERE {0} IS NOT NULL"

_TABLES = ("deployment_assets", "tool_definitions", "resource_definitions")
_DEFINITIONS = (("tools", "tool_definitions"), ("resources", "resource_definitions"))


def content_of(deployment: str) -> str:
    """SQL: the content of the deployment whose id is the expression `deployment`; NULL if there is none.

    Put together as text and parsed once: nesting `jsonb` takes every level apart that it puts into the next.
    """
    return f"""(
        SELECT CAST(json_build_object(
            'status', status,
            'assets', (
                SELECT coalesce(json_object_agg(kind || '/' || slug, json_build_object(
                    'name', name, 'sha256', sha256, 'config', config)), '{{}}')
                FROM ours.deployment_assets WHERE deployment_id = deployments.id),
            'tools', {_definitions("tool_definitions")},
            'resources', {_definitions("resource_definitions")}) AS jsonb)
        FROM ours.deployments WHERE id = {deployment})"""


def _definitions(table: str) -> str:
    return f"""(
                SELECT coalesce(json_object_agg(urn, json_build_object(
                    'name', name, 'description', description, 'definition', definition)), '{{}}')
                FROM ours.{table} WHERE deployment_id = deployments.id)"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Content: `{"status", "assets": {"kind/slug": {name, sha256, config}}, "tools": {urn: {name, description,
    definition}}, "resources": {…}}`; NULL if the project has no active deployment."""

    name: str = "deployment"
    scope: Scope = "project"

    def capture(self) -> str:
        return content_of(ACTIVE_DEPLOYMENT)

    def live_rows(self) -> tuple[str, ...]:
        return tuple(f"SELECT FROM ours.{table} WHERE deployment_id = {ACTIVE_DEPLOYMENT}" for table in _TABLES)

    @staticmethod
    def moved(original: str) -> str:
        """SQL: whether the project points elsewhere than at `original`; a guess that costs nothing at whether the
        content differs."""
        return f"({ACTIVE_DEPLOYMENT} IS DISTINCT FROM {original})"

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(once(before, self._items), once(after, self._items))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        """Point the project back at deployment `:original_deployment_id` if its content is still `target`, otherwise
        at a new one that is built from `target`. The original is held, so that it stays what it is."""
        _hold_original(connection, parameters)
        original = f"""
            SELECT original.id FROM ours.deployments AS original
            WHERE id = :original_deployment_id AND project_id = :project_id AND {content_of("original.id")} = {target}
        """
        deployment = connection.execute(parsed(original), parameters).scalar()
        if deployment is None:
            deployment = self._build(connection, target, parameters)
        activate_deployment(connection, parameters["project_id"], deployment)

    def reach(self, live: str, target: str) -> tuple[str]:
        """Toolsets of the project.

        - A tool or resource definition reaches those that list its URN.
        - The deployment's status reaches those that list a URN which the live or the restored deployment provides. A
          deployment that comes into being, or goes away, has another status. It reaches by what the live deployment
          provides: what only the restored one does is touched itself.
        - A function or package asset reaches those that list a URN of its slug: its code is what runs. The
          configuration of an OpenAPI document reaches them too; its name and its checksum do not, for the document is
          compiled into the definitions, which are compared themselves.
        - A URN is of a slug if what follows its second colon is the slug, or begins with the slug and a colon. A slug
          may hold colons: `tools:function:a:b` is of `a` and of `a:b`.
        """
        query = f"""
            WITH touched AS MATERIALIZED (
                SELECT split_part(key, '/', 1) AS section, substring(key FROM position('/' IN key) + 1) AS name
                FROM unnest(CAST(:touched AS text[])) AS key),
            active AS MATERIALIZED (SELECT {ACTIVE_DEPLOYMENT} AS id),
            restored AS MATERIALIZED (SELECT {target} -> 'assets' AS content),
            assets AS MATERIALIZED (
                SELECT name AS key, split_part(name, '/', 1) AS kind,
                       substring(name FROM position('/' IN name) + 1) AS slug
                FROM touched WHERE section = 'assets'),
            reaching AS MATERIALIZED (
                SELECT slug FROM assets
                WHERE kind <> 'openapiv3' OR (
                    SELECT config FROM ours.deployment_assets live
                    WHERE deployment_id = (SELECT id FROM active) AND live.kind = assets.kind
                      AND live.slug = assets.slug
                ) IS DISTINCT FROM (SELECT content FROM restored) -> key -> 'config')
            {neighbours("project")} AND ({_lists_touched("tool")} OR {_lists_touched("resource")})
        """
        return (query,)

    def add(self, connection: Connection, content: str, parameters: Parameters) -> None:
        """Provide what `content` has, besides what is provided: in a new deployment, a copy of the active one, whose
        place it takes."""
        clone = f"""
            INSERT INTO ours.deployments (project_id, status, cloned_from)
            SELECT :project_id, coalesce({self.capture()} ->> 'status', 'completed'), {ACTIVE_DEPLOYMENT}
            RETURNING id
        """
        deployment = connection.execute(parsed(clone), parameters).scalar_one()
        _provide(connection, deployment, self.capture(), parameters)
        _provide(connection, deployment, content, parameters)
        activate_deployment(connection, parameters["project_id"], deployment)

    def _build(self, connection: Connection, target: str, parameters: Parameters) -> object:
        created = f"""
            INSERT INTO ours.deployments (project_id, status, cloned_from)
            SELECT :project_id, content ->> 'status', CAST(:original_deployment_id AS uuid)
            FROM (SELECT {target} AS content) AS target WHERE content IS NOT NULL
            RETURNING id
        """
        deployment = connection.execute(parsed(created), parameters).scalar()
        if deployment is not None:
            _provide(connection, deployment, target, parameters)
        return deployment

    @staticmethod
    def _items(content: str) -> str:
        sections = (members(content, section) for section in ("assets", "tools", "resources"))
        return " UNION ALL ".join((_STATUS.format(content), *sections))


def _hold_original(connection: Connection, parameters: Parameters) -> None:
    """Its own row first: from then on nothing can be added. Raises what says that a row is not free."""
    hold = """
        SELECT FROM ours.deployments
        WHERE id = :original_deployment_id AND project_id = :project_id
        FOR UPDATE NOWAIT
    """
    send(connection, hold, parameters)
    of_original = "deployment_id = :original_deployment_id"
    rows = (
        f"{table} AS MATERIALIZED (SELECT FROM ours.{table} WHERE {of_original} FOR SHARE NOWAIT)" for table in _TABLES
    )
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
    send(connection, f"WITH {', '.join(rows)} SELECT {counts}", parameters)


def _provide(connection: Connection, deployment: object, content: str, parameters: Parameters) -> None:
    """Insert the assets and definitions of `content` into a deployment."""
    given = {**parameters, "deployment_id": deployment}
    assets = f"""
        INSERT INTO ours.deployment_assets (deployment_id, kind, slug, name, sha256, config)
        SELECT :deployment_id, split_part(key, '/', 1), substring(key FROM position('/' IN key) + 1),
               value ->> 'name', value ->> 'sha256', value -> 'config'
        FROM jsonb_each({content} -> 'assets')
    """
    send(connection, assets, given)
    for section, table in _DEFINITIONS:
        definitions = f"""
            INSERT INTO ours.{table} (deployment_id, urn, name, description, definition)
            SELECT :deployment_id, key, value ->> 'name', value ->> 'description', value -> 'definition'
            FROM jsonb_each({content} -> '{section}')
        """
        send(connection, definitions, given)


def _lists_touched(kind: str) -> str:
    """SQL: toolset `t` lists a tool, or a resource, whose definition, status or asset is touched. The first part of a
    slug is looked up before all of its URN's slugs are, which is far quicker for long lists."""
    return f"""
        EXISTS (
            SELECT FROM listed_{kind}s m WHERE m.toolset_id = t.id AND (
                m.urn IN (SELECT name FROM touched WHERE section = '{kind}s')
                OR EXISTS (SELECT FROM touched WHERE section = 'status') AND EXISTS (
                    SELECT FROM ours.{kind}_definitions
                    WHERE deployment_id = (SELECT id FROM active) AND urn = m.urn)
                OR split_part(m.urn, ':', 3) IN (SELECT split_part(slug, ':', 1) FROM reaching) AND (
                    SELECT bool_or(slug IN (SELECT slug FROM reaching))
                    FROM ({slugs_of("m.urn")}) AS slugs)))
    """


deployment = Deployment()
