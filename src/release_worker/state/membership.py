"""Which tools and which resources a toolset offers, in which order."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff


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
                'urns', coalesce(jsonb_agg({self.urn} {order}), '[]'),
                'positions', coalesce(jsonb_agg(position {order}), '[]'))
            FROM {self.table} WHERE toolset_id = :toolset_id)"""

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(self._items(before), self._items(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        wanted = f"WITH target AS MATERIALIZED ({self.listed(target)})"
        removed = f"""
            {wanted}
            DELETE FROM {self.table} AS live
            WHERE toolset_id = :toolset_id AND NOT EXISTS (SELECT FROM target WHERE target.urn = live.{self.urn})
        """
        changed = f"""
            {wanted}
            UPDATE {self.table} AS live SET position = target.position
            FROM target
            WHERE toolset_id = :toolset_id AND target.urn = live.{self.urn} AND live.position <> target.position
        """
        added = f"""
            {wanted}
            INSERT INTO {self.table} (toolset_id, {self.urn}, position)
            SELECT :toolset_id, urn, position FROM target
            WHERE NOT EXISTS (
                SELECT FROM {self.table} AS live WHERE toolset_id = :toolset_id AND live.{self.urn} = target.urn)
        """
        for statement in (removed, changed, added):
            connection.execute(text(statement), parameters)

    @staticmethod
    def listed(content: str) -> str:
        """SQL: a query of `urn, position` of a content."""
        return f"""
            SELECT urn, position::int
            FROM (SELECT {content} AS content) AS given,
                 ROWS FROM (jsonb_array_elements_text(content -> 'urns'),
                            jsonb_array_elements_text(content -> 'positions')) AS listed (urn, position)
        """

    @classmethod
    def without(cls, content: str, urns: str) -> str:
        """SQL: `content` less the URNs of the text array `urns`; the others keep their positions."""
        return f"""(
            SELECT jsonb_build_object(
                'urns', coalesce(jsonb_agg(urn ORDER BY position, urn COLLATE "C"), '[]'),
                'positions', coalesce(jsonb_agg(position ORDER BY position, urn COLLATE "C"), '[]'))
            FROM ({cls.listed(content)}) AS listed WHERE urn <> ALL (CAST({urns} AS text[])))"""

    def _items(self, content: str) -> str:
        return f"""
            SELECT urn AS key, jsonb_build_object('position', position) AS item FROM ({self.listed(content)}) AS listed
        """


tools = Membership(name="tools", table="toolset_tools", urn="tool_urn")
resources = Membership(name="resources", table="toolset_resources", urn="resource_urn")
