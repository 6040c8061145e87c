"""Overlays of names, descriptions and model settings: for the whole organization, or for one toolset."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff, members
from release_worker.store.owners.relations import neighbours
from release_worker.store.sending import send


@dataclass(frozen=True, slots=True)
class Variations:
    """The variations of one scope. Content: `{urn: config}`, NULL if there are none."""

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
        return f"(SELECT CAST(json_object_agg(tool_urn, config) AS jsonb) FROM ours.variations WHERE {self._ours})"

    def live_rows(self) -> tuple[str, ...]:
        """Those too that an app could make ours by an update that no foreign key checks: of the toolset under another
        organization, and of the organization's toolsets, any of which may become global."""
        held = "toolset_id = :toolset_id" if self.scope == "toolset" else "organization_id = :organization_id"
        return (f"SELECT FROM ours.variations WHERE {held}",)

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def reach(self, live: str, target: str) -> tuple[str]:
        """A global variation reaches the toolsets of the organization that list its URN, if their own variation, laid
        over it field by field, leaves a difference. If the two are not both objects, their own is served alone."""
        query = f"""
            WITH touched AS (
                SELECT urn, live.config AS before, {target} -> urn AS after
                FROM unnest(CAST(:touched AS text[])) AS urn
                LEFT JOIN ours.variations live
                    ON live.organization_id = :organization_id AND live.toolset_id IS NULL AND live.tool_urn = urn)
            {neighbours("organization")} AND EXISTS (
                SELECT FROM listed_tools m JOIN touched USING (urn)
                LEFT JOIN ours.variations own
                    ON own.organization_id = :organization_id AND own.toolset_id = t.id AND own.tool_urn = m.urn
                WHERE m.toolset_id = t.id
                  AND {_overlaid("before", "own.config")} IS DISTINCT FROM {_overlaid("after", "own.config")})
        """
        return (query,)

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        wanted = f"WITH target AS MATERIALIZED (SELECT key AS urn, value AS config FROM jsonb_each({target}))"
        removed = f"""
            {wanted}
            DELETE FROM ours.variations AS live
            WHERE {self._ours} AND NOT EXISTS (SELECT FROM target WHERE target.urn = live.tool_urn)
        """
        changed = f"""
            {wanted}
            UPDATE ours.variations AS live SET config = target.config, updated_at = now()
            FROM target
            WHERE {self._ours} AND live.tool_urn = target.urn AND live.config <> target.config
        """
        added = f"""
            {wanted}
            INSERT INTO ours.variations (organization_id, toolset_id, tool_urn, config)
            SELECT :organization_id, {self._owner}, urn, config FROM target
            WHERE NOT EXISTS (SELECT FROM ours.variations AS live WHERE {self._ours} AND live.tool_urn = target.urn)
        """
        for statement in (removed, changed, added):
            send(connection, statement, parameters)


def _overlaid(below: str, above: str) -> str:
    return f"""
        CASE WHEN coalesce(jsonb_typeof({below}), 'object') = 'object'
                  AND coalesce(jsonb_typeof({above}), 'object') = 'object'
             THEN coalesce({below}, '{{}}') || coalesce({above}, '{{}}')
             ELSE coalesce({above}, {below}) END
    """


global_variations = Variations(name="global_variations", scope="organization")
toolset_variations = Variations(name="toolset_variations", scope="toolset")
