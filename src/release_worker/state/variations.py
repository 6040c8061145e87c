"""Overlays of names, descriptions and model settings: for the whole organization, or for one toolset."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from release_worker.domain.subject import Scope
from release_worker.state.component import STILL_THERE, Parameters, keyed_diff, members


@dataclass(frozen=True, slots=True)
class Variations:
    """The variations of one scope. Content: `{urn: config}`, NULL where there are none."""

    name: str
    scope: Scope

    @property
    def _owner(self) -> str:
        return ":toolset_id" if self.scope == "toolset" else "CAST(NULL AS uuid)"

    @property
    def _ours(self) -> str:
        of_scope = "toolset_id = :toolset_id" if self.scope == "toolset" else "toolset_id IS NULL"
        return f"organization_id = :organization_id AND {of_scope}"

    def capture(self) -> str:
        return f"(SELECT jsonb_object_agg(tool_urn, config) FROM variations WHERE {self._ours})"

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        wanted = f"WITH target AS MATERIALIZED (SELECT key AS urn, value AS config FROM jsonb_each({target}))"
        removed = f"""
            {wanted}
            DELETE FROM variations AS live
            WHERE {self._ours} AND NOT EXISTS (SELECT FROM target WHERE target.urn = live.tool_urn)
        """
        kept = f"""
            {wanted}
            SELECT FROM variations AS live JOIN target ON target.urn = live.tool_urn WHERE {self._ours}
            {STILL_THERE}
        """
        put_back = f"""
            {wanted}
            INSERT INTO variations AS live (organization_id, toolset_id, tool_urn, config)
            SELECT :organization_id, {self._owner}, urn, config FROM target
            ON CONFLICT (organization_id, toolset_id, tool_urn)
            DO UPDATE SET config = excluded.config, updated_at = now()
            WHERE live.config <> excluded.config
        """
        for statement in (removed, kept, put_back):
            connection.execute(text(statement), parameters)


global_variations = Variations(name="global_variations", scope="organization")
toolset_variations = Variations(name="toolset_variations", scope="toolset")
