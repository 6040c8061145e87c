"""The project's active deployment: its assets, and the definitions of the tools and resources that it provides."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff, members, once
from release_worker.store.owners.pointing import activate_deployment
from release_worker.store.owners.relations import ACTIVE_DEPLOYMENT
from release_worker.store.statements import parsed

_STATUS = "SELECT 'status' AS key, {0} -> 'status' AS item WHERE {0} IS NOT NULL"

_TABLES = ("deployment_assets", "tool_definitions", "resource_definitions")
_DEFINITIONS = (("tools", "tool_definitions"), ("resources", "resource_definitions"))


def content_of(deployment: str) -> str:
    """SQL: the content of the deployment whose id is the expression `deployment`; NULL where there is none.

    Put together as text and parsed once: nesting `jsonb` takes every level apart that it puts into the next.
    """
    return f"""(
        SELECT CAST(json_build_object(
            'status', status,
            'assets', (
                SELECT coalesce(json_object_agg(kind || '/' || slug, json_build_object(
                    'name', name, 'sha256', sha256, 'config', config)), '{{}}')
                FROM deployment_assets WHERE deployment_id = deployments.id),
            'tools', {_definitions("tool_definitions")},
            'resources', {_definitions("resource_definitions")}) AS jsonb)
        FROM deployments WHERE id = {deployment})"""


def _definitions(table: str) -> str:
    return f"""(
                SELECT coalesce(json_object_agg(urn, json_build_object(
                    'name', name, 'description', description, 'definition', definition)), '{{}}')
                FROM {table} WHERE deployment_id = deployments.id)"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Content: `{"status", "assets": {"kind/slug": {name, sha256, config}}, "tools": {urn: {name, description,
    definition}}, "resources": {…}}`; NULL where the project has no active deployment."""

    name: str = "deployment"
    scope: Scope = "project"

    def capture(self) -> str:
        return content_of(ACTIVE_DEPLOYMENT)

    def live_rows(self) -> tuple[str, ...]:
        return tuple(f"SELECT FROM {table} WHERE deployment_id = {ACTIVE_DEPLOYMENT}" for table in _TABLES)

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
            SELECT original.id FROM deployments AS original
            WHERE id = :original_deployment_id AND project_id = :project_id AND {content_of("original.id")} = {target}
        """
        deployment = connection.execute(parsed(original), parameters).scalar()
        if deployment is None:
            deployment = self._build(connection, target, parameters)
        activate_deployment(connection, parameters["project_id"], deployment)

    def _build(self, connection: Connection, target: str, parameters: Parameters) -> object:
        created = f"""
            INSERT INTO deployments (project_id, status, cloned_from)
            SELECT :project_id, content ->> 'status', CAST(:original_deployment_id AS uuid)
            FROM (SELECT {target} AS content) AS target WHERE content IS NOT NULL
            RETURNING id
        """
        deployment = connection.execute(parsed(created), parameters).scalar()
        if deployment is not None:
            provide(connection, deployment, target, parameters)
        return deployment

    @staticmethod
    def _items(content: str) -> str:
        sections = (members(content, section) for section in ("assets", "tools", "resources"))
        return " UNION ALL ".join((_STATUS.format(content), *sections))


def _hold_original(connection: Connection, parameters: Parameters) -> None:
    """Its own row first: from then on nothing can be added. Raises what says that a row is not free."""
    hold = "SELECT FROM deployments WHERE id = :original_deployment_id AND project_id = :project_id FOR UPDATE NOWAIT"
    connection.execute(parsed(hold), parameters)
    rows = (
        f"{table} AS MATERIALIZED (SELECT FROM {table} WHERE deployment_id = :original_deployment_id FOR SHARE NOWAIT)"
        for table in _TABLES
    )
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
    connection.execute(parsed(f"WITH {', '.join(rows)} SELECT {counts}"), parameters)


def provide(connection: Connection, deployment: object, content: str, parameters: Parameters) -> None:
    """Insert the assets and definitions of `content` into a deployment."""
    given = {**parameters, "deployment_id": deployment}
    assets = f"""
        INSERT INTO deployment_assets (deployment_id, kind, slug, name, sha256, config)
        SELECT :deployment_id, split_part(key, '/', 1), substring(key FROM position('/' IN key) + 1),
               value ->> 'name', value ->> 'sha256', value -> 'config'
        FROM jsonb_each({content} -> 'assets')
    """
    connection.execute(parsed(assets), given)
    for section, table in _DEFINITIONS:
        definitions = f"""
            INSERT INTO {table} (deployment_id, urn, name, description, definition)
            SELECT :deployment_id, key, value ->> 'name', value ->> 'description', value -> 'definition'
            FROM jsonb_each({content} -> '{section}')
        """
        connection.execute(parsed(definitions), given)


deployment = Deployment()
