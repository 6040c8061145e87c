"""A state: what components hold at one place, as SQL that travels with its parameters."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult

from release_worker.domain.digests import StateDigests
from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.state.component import Component, Parameters
from release_worker.state.membership import Membership
from release_worker.state.registry import Registry
from release_worker.store.captured import captured_contents, captured_parameters
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class State:
    """`contents`: SQL by component name, an expression of type `jsonb`; `parameters`: what all of it refers to. Two
    states may stand in one statement: their parameters have different names, or the same values."""

    contents: Mapping[str, str]
    parameters: Parameters

    def __getitem__(self, name: str) -> str:
        return self.contents[name]

    def __contains__(self, name: str) -> bool:
        return name in self.contents

    def only(self, names: Iterable[str]) -> "State":
        """Of these components."""
        return State({name: self.contents[name] for name in names}, self.parameters)

    def over(self, below: "State") -> "State":
        """This state, and `below` for the components that this one does not have."""
        return State({**below.contents, **self.contents}, {**below.parameters, **self.parameters})

    def without(self, urns: Mapping[str, Sequence[str]]) -> "State":
        """Less these URNs of its lists, by `tools` and `resources`; the other URNs keep their positions."""
        lessened = {kind: Membership.without(self.contents[kind], f":skipped_{kind}") for kind in urns}
        skipped = {f"skipped_{kind}": list(names) for kind, names in urns.items()}
        return State({**self.contents, **lessened}, {**self.parameters, **skipped})

    def digests(self, connection: Connection) -> StateDigests:
        """The digest of each content, in one statement. The contents stay where they are."""
        columns = ", ".join(
            f'ours.release_worker_digest({content}) AS "{name}"' for name, content in self.contents.items()
        )
        row = self.query(connection, f"SELECT {columns}").one()
        return StateDigests(dict(zip(self.contents, row, strict=True)))

    def provided(self, kind: str) -> str:
        """SQL: a query of the URNs that are provided, of kind `tools` or `resources`: by the deployment, and tools by
        prompt templates that have a tool URN."""
        definitions = f"SELECT jsonb_object_keys({self['deployment']} -> '{kind}') AS urn"
        if kind == "resources":
            return definitions
        prompts = f"jsonb_each({self['system']} -> 'prompts')"
        return f"""
            {definitions}
            UNION ALL
            SELECT value ->> 'tool_urn' FROM {prompts} WHERE value ->> 'tool_urn' <> ''
        """

    def query(self, connection: Connection, statement: str, **parameters: Any) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement that mentions the contents, with further parameters of its own."""
        return connection.execute(parsed(statement), {**self.parameters, **parameters})


def live_state(components: Iterable[Component], subject: Subject) -> State:
    """What the apps have."""
    return State({component.name: component.capture() for component in components}, subject.parameters)


def live_state_as(components: Iterable[Component], subject: Subject, *, role: str) -> State:
    """As `live_state`, with parameters named for a role: so it can stand in one statement with another toolset's."""
    contents = {component.name: _OWNERS.sub(rf":{role}_\1", component.capture()) for component in components}
    return State(contents, {f"{role}_{name}": value for name, value in subject.parameters.items()})


# As SQLAlchemy reads parameters: not a part of a cast, and not escaped.
_OWNERS = re.compile(r"(?<![:\w\\]):(toolset_id|project_id|organization_id)\b(?!:)")


def captured_state(
    release: Release, registry: Registry, names: Sequence[str] | None = None, *, role: str = "target"
) -> State:
    """What a release holds of these components, all by default, in today's form. States of different releases that
    stand in one statement need different roles."""
    contents = captured_contents(registry.names if names is None else names, registry.parts, role)
    return State(contents, captured_parameters(release, role))
