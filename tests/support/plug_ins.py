"""Components from outside: one that does something while state is captured, and one with state of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from release_worker.domain.subject import Scope
from release_worker.state.component import Component, Parameters, keyed_diff, members
from release_worker.state.registry import Registry, built_in_components

NOTHING = "CAST(NULL AS jsonb)"


@dataclass(frozen=True)
class Interruption:
    """Has no content; calls `action` whenever it is asked for some, in the middle of each operation."""

    action: Callable[[], object]
    name: str = "interruption"
    scope: Scope = "toolset"

    def capture(self) -> str:
        self.action()
        return NOTHING

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        raise AssertionError("there is never a difference")


@dataclass
class Once:
    """An action of which only the first call, or as many as `times`, do anything."""

    action: Callable[[], object]
    times: int = 1
    calls: int = field(default=0, init=False)

    def __call__(self) -> None:
        self.calls += 1
        if self.calls <= self.times:
            self.action()


def raising(error: BaseException) -> Callable[[], None]:
    """An action that raises."""

    def action() -> None:
        raise error

    return action


def with_plug_ins(*plug_ins: Component) -> Registry:
    """The built-in components and these."""
    return Registry((*built_in_components(), *plug_ins))


def interrupted_by(action: Callable[[], object]) -> Registry:
    """The built-in components, and an interruption."""
    return with_plug_ins(Interruption(action))


def create_flags_table(engine: Engine, *, owners: str | None = None) -> None:
    """A table of an app's own: feature flags of a toolset, a project or an organization, by its id; with a foreign key
    to the table `owners`, if it is given."""
    create = "CREATE TABLE flags (owner_id uuid, name text, value jsonb NOT NULL, PRIMARY KEY (owner_id, name))"
    with engine.begin() as connection:
        connection.execute(text(create))
        if owners is not None:
            connection.execute(text(f"ALTER TABLE flags ADD FOREIGN KEY (owner_id) REFERENCES {owners}"))


def set_flag(engine: Engine, owner_id: UUID, name: str, value: str) -> None:
    """Write a flag as an app would; the value is a JSON text."""
    write = """
        INSERT INTO flags (owner_id, name, value) VALUES (:owner_id, :name, CAST(:value AS jsonb))
        ON CONFLICT (owner_id, name) DO UPDATE SET value = excluded.value
    """
    with engine.begin() as connection:
        connection.execute(text(write), {"owner_id": owner_id, "name": name, "value": value})


def flags_of(engine: Engine, owner_id: UUID) -> dict[str, str]:
    """The flags of an owner, values as JSON texts."""
    query = text("SELECT name, value::text FROM flags WHERE owner_id = :owner_id")
    with engine.connect() as connection:
        return dict(connection.execute(query, {"owner_id": owner_id}).all())


@dataclass(frozen=True)
class Flags:
    """`{name: value}` of the table `flags`; NULL where its owner has none."""

    name: str = "flags"
    scope: Scope = "toolset"

    def capture(self) -> str:
        return f"(SELECT jsonb_object_agg(name, value) FROM flags WHERE owner_id = :{self.scope}_id)"

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        owner = f":{self.scope}_id"
        wanted = f"WITH target AS MATERIALIZED (SELECT key AS name, value FROM jsonb_each({target}))"
        removed = f"{wanted} DELETE FROM flags WHERE owner_id = {owner} AND name NOT IN (SELECT name FROM target)"
        put_back = f"""
            {wanted}
            INSERT INTO flags AS live (owner_id, name, value) SELECT {owner}, name, value FROM target
            ON CONFLICT (owner_id, name) DO UPDATE SET value = excluded.value WHERE live.value <> excluded.value
        """
        connection.execute(text(removed), parameters)
        connection.execute(text(put_back), parameters)


@dataclass(frozen=True)
class ToolFlags(Flags):
    """Flags of tools, by URN: a change reaches the toolsets of the project that list such a tool."""

    scope: Scope = "project"
    reached: str = """
        SELECT toolset_id AS id FROM listed_tools JOIN ours.toolsets ON toolsets.id = toolset_id
        WHERE project_id = :project_id AND urn = ANY (CAST(:touched AS text[]))
    """

    def reach(self, live: str, target: str) -> tuple[str]:
        return (self.reached,)
