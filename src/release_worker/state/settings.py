"""A toolset's own name, description and settings."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.subject import Scope
from release_worker.state.component import Parameters, keyed_diff, members
from release_worker.store.sending import send


@dataclass(frozen=True, slots=True)
class Settings:
    """Content: `{"name", "description", "settings"}`."""

    name: str = "settings"
    scope: Scope = "toolset"

    def capture(self) -> str:
        return """(
            SELECT jsonb_build_object('name', name, 'description', description, 'settings', settings)
            FROM ours.toolsets WHERE id = :toolset_id)"""

    def live_rows(self) -> tuple[str, ...]:
        return ()  # the toolset's own row is its owner's

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        put_back = f"""
            UPDATE ours.toolsets
            SET name = target.content ->> 'name',
                description = target.content ->> 'description',
                settings = target.content -> 'settings',
                updated_at = now()
            FROM (SELECT {target} AS content) AS target
            WHERE id = :toolset_id
        """
        send(connection, put_back, parameters)


settings = Settings()
