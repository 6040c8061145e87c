"""The project's system configuration and prompt templates."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff, members, once
from release_worker.store.owners.relations import neighbours
from release_worker.store.sending import send

# A template's `arguments` may be SQL NULL, which the content shows by leaving the field out, or the JSON value null.
_PROMPT = """
    jsonb_build_object('description', description, 'prompt', prompt, 'engine', engine, 'kind', kind, 'tool_urn',
    tool_urn) || CASE WHEN arguments IS NULL THEN '{}' ELSE jsonb_build_object('arguments', arguments) END
"""

_FIELDS = """
    item ->> 'description', item ->> 'prompt', item ->> 'engine', item ->> 'kind', item -> 'arguments', item ->>
    'tool_urn'
"""


@dataclass(frozen=True, slots=True)
class System:
    """Content: `{"config": {key: value}, "prompts": {name: {…}}}`, a prompt with the fields of `_PROMPT`."""

    name: str = "system"
    scope: Scope = "project"

    def capture(self) -> str:
        return f"""(
            SELECT jsonb_build_object(
                'config', (
                    SELECT coalesce(jsonb_object_agg(key, value), '{{}}')
                    FROM ours.system_configs WHERE project_id = :project_id),
                'prompts', (
                    SELECT coalesce(jsonb_object_agg(name, {_PROMPT}), '{{}}')
                    FROM ours.prompt_templates WHERE project_id = :project_id AND deleted_at IS NULL)))"""

    def live_rows(self) -> tuple[str, ...]:
        """Deleted templates too: an app could bring them back."""
        return (
            "SELECT FROM ours.system_configs WHERE project_id = :project_id",
            "SELECT FROM ours.prompt_templates WHERE project_id = :project_id",
        )

    def diff(self, before: str, after: str) -> str:
        def items(content: str) -> str:
            return f"{members(content, 'config')} UNION ALL {members(content, 'prompts')}"

        return keyed_diff(once(before, items), once(after, items))

    def reach(self, live: str, target: str) -> tuple[str, str]:
        """Configuration, and a template without a tool URN, before or after, reach every toolset of the project: any
        may offer such a template. A template with a tool URN reaches those that list it."""
        configuration = f"""
            {neighbours("project")}
            AND EXISTS (SELECT FROM unnest(CAST(:touched AS text[])) AS key WHERE key LIKE 'config/%')
        """
        prompts = f"""
            WITH touched AS (
                SELECT value ->> 'tool_urn' AS urn
                FROM (SELECT * FROM jsonb_each({live} -> 'prompts')
                      UNION ALL SELECT * FROM jsonb_each({target} -> 'prompts')) AS templates
                WHERE 'prompts/' || key = ANY (CAST(:touched AS text[])))
            {neighbours("project")} AND (
                EXISTS (SELECT FROM touched WHERE coalesce(urn, '') = '')
                OR EXISTS (SELECT FROM listed_tools m JOIN touched USING (urn) WHERE m.toolset_id = t.id))
        """
        return configuration, prompts

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        for statement in (*_restore_config(target), *_restore_prompts(target), _delete_other_prompts(target)):
            send(connection, statement, parameters)

    def add(self, connection: Connection, content: str, parameters: Parameters) -> None:
        """Put the templates of `content` back, besides those that are there."""
        for statement in _restore_prompts(content):
            send(connection, statement, parameters)


def _restore_config(target: str) -> tuple[str, str, str]:
    wanted = f"WITH target AS MATERIALIZED (SELECT key, value FROM jsonb_each({target} -> 'config'))"
    removed = f"""
        {wanted}
        DELETE FROM ours.system_configs AS live
        WHERE project_id = :project_id AND NOT EXISTS (SELECT FROM target WHERE target.key = live.key)
    """
    changed = f"""
        {wanted}
        UPDATE ours.system_configs AS live SET value = target.value
        FROM target
        WHERE project_id = :project_id AND live.key = target.key AND live.value <> target.value
    """
    added = f"""
        {wanted}
        INSERT INTO ours.system_configs (project_id, key, value)
        SELECT :project_id, key, value FROM target
        WHERE NOT EXISTS (
            SELECT FROM ours.system_configs AS live WHERE project_id = :project_id AND live.key = target.key)
    """
    return removed, changed, added


def _restore_prompts(target: str) -> tuple[str, str, str]:
    """SQL: put the templates of `target` back. One that was deleted meanwhile comes back as the same row, so that
    references to its id hold again."""
    wanted = f"WITH target AS MATERIALIZED (SELECT key AS name, value AS item FROM jsonb_each({target} -> 'prompts'))"
    revived = f"""
        {wanted},
        latest AS (
            SELECT DISTINCT ON (name) id
            FROM ours.prompt_templates JOIN target USING (name)
            WHERE project_id = :project_id AND deleted_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM ours.prompt_templates AS live
                WHERE live.project_id = :project_id AND live.name = target.name AND live.deleted_at IS NULL)
            ORDER BY name, deleted_at DESC, id DESC)
        UPDATE ours.prompt_templates SET deleted_at = NULL, updated_at = now() WHERE id IN (SELECT id FROM latest)
    """
    changed = f"""
        {wanted}
        UPDATE ours.prompt_templates AS live
        SET (description, prompt, engine, kind, arguments, tool_urn) = ROW ({_FIELDS}), updated_at = now()
        FROM target
        WHERE project_id = :project_id AND live.name = target.name AND deleted_at IS NULL
          AND ({_PROMPT}) <> item
    """
    added = f"""
        {wanted}
        INSERT INTO ours.prompt_templates (project_id, name, description, prompt, engine, kind, arguments, tool_urn)
        SELECT :project_id, name, {_FIELDS}
        FROM target
        WHERE NOT EXISTS (
            SELECT FROM ours.prompt_templates AS live
            WHERE live.project_id = :project_id AND live.name = target.name AND live.deleted_at IS NULL)
    """
    return revived, changed, added


def _delete_other_prompts(target: str) -> str:
    return f"""
        UPDATE ours.prompt_templates SET deleted_at = now(), updated_at = now()
        WHERE project_id = :project_id AND deleted_at IS NULL
          AND name NOT IN (SELECT jsonb_object_keys({target} -> 'prompts'))
    """


system = System()
