"""Which tools and which resources a toolset offers, in which order."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters
from release_worker.store.sending import send


@dataclass(frozen=True, slots=True)
class Membership:
    """A table of `toolset_id, urn, position`. Content: `{"urns": […], "positions": […]}` in position order, equal
    positions by URN."""

    name: str
    table: str
    urn: str
    scope: Scope = "toolset"

    def capture(self) -> str:
        order = f'ORDER BY position, {self.urn} COLLATE "C"'
        return f"""(
            SELECT jsonb_build_object(
                'urns', coalesce(array_agg({self.urn} {order}), '{{}}'),
                'positions', coalesce(array_agg(position {order}), '{{}}'))
            FROM {self.table} WHERE toolset_id = :toolset_id)"""

    def live_rows(self) -> tuple[str, ...]:
        return (f"SELECT FROM {self.table} WHERE toolset_id = :toolset_id",)

    def diff(self, before: str, after: str) -> str:
        return f"""
            SELECT urn AS key, {_item("before")} AS old, {_item("after")} AS new,
                   before.urn IS NOT NULL AS in_old, after.urn IS NOT NULL AS in_new
            FROM ({self.listed(before)}) AS before FULL JOIN ({self.listed(after)}) AS after USING (urn)
            WHERE before.position IS DISTINCT FROM after.position
        """

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        """As one statement: both sides are read once, and only what differs is touched."""
        put_back = f"""
            WITH differing AS MATERIALIZED (
                SELECT urn, live.position AS found, target.position AS wanted
                FROM (SELECT {self.urn} AS urn, position FROM {self.table} WHERE toolset_id = :toolset_id) AS live
                FULL JOIN ({self.listed(target)}) AS target USING (urn)
                WHERE live.position IS DISTINCT FROM target.position),
            removed AS (
                DELETE FROM {self.table} AS live USING differing
                WHERE toolset_id = :toolset_id AND {self.urn} = urn AND wanted IS NULL),
            changed AS (
                UPDATE {self.table} AS live SET position = wanted FROM differing
                WHERE toolset_id = :toolset_id AND {self.urn} = urn AND found IS NOT NULL AND wanted IS NOT NULL)
            INSERT INTO {self.table} (toolset_id, {self.urn}, position)
            SELECT :toolset_id, urn, wanted FROM differing WHERE found IS NULL
        """
        send(connection, put_back, parameters)

    @property
    def of_all(self) -> str:
        """SQL: a query of `toolset_id, urn`, what every toolset lists."""
        return f"SELECT toolset_id, {self.urn} AS urn FROM {self.table}"

    @staticmethod
    def listed(content: str) -> str:
        """SQL: a query of `urn, position` of a content."""
        return f"""
            SELECT urn, position
            FROM jsonb_to_record({content}) AS content (urns text[], positions int[]),
                 unnest(urns, positions) AS listed (urn, position)
        """

    @classmethod
    def without(cls, content: str, urns: str) -> str:
        """SQL: `content` less the URNs of the text array `urns`; the others keep their positions."""
        return f"""(
            SELECT jsonb_build_object(
                'urns', coalesce(jsonb_agg(urn ORDER BY position, urn COLLATE "C"), '[]'),
                'positions', coalesce(jsonb_agg(position ORDER BY position, urn COLLATE "C"), '[]'))
            FROM ({cls.listed(content)}) AS listed WHERE urn <> ALL (CAST({urns} AS text[])))"""


def _item(side: str) -> str:
    return f"CASE WHEN {side}.urn IS NOT NULL THEN jsonb_build_object('position', {side}.position) END"


tools = Membership(name="tools", table="ours.toolset_tools", urn="tool_urn")
resources = Membership(name="resources", table="ours.toolset_resources", urn="resource_urn")
