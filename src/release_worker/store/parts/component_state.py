"""The state of one plug-in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from release_worker.domain.digests import NOTHING, StateDigests
from release_worker.domain.subject import Scope
from release_worker.store.parts.part import Form, Garbage

AS_STORED = "nullif(content, 'null')"


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Rows of `component_states`: one for each digest of a plug-in in its scope, also one for no content: a rollback to
    such a release removes what came later."""

    name: str
    scope: Scope
    forms: tuple[Form, ...]
    place: int = 0
    """Among the plug-ins: names of steps must be short."""
    table: str = "ours.component_states"

    def source(self, role: str) -> str:
        return f"""(
            SELECT s.* FROM ours.component_states s JOIN ours.release_components c ON c.component_state_id = s.id
            WHERE c.release_id = :{role}_release_id AND c.component = '{self.name}') AS part"""

    def digest(self, digests: StateDigests, form: Form) -> str:
        return digests[self.name] or NOTHING

    def digest_in_sql(self) -> str:
        return f"coalesce({self._column}, '{NOTHING}')"

    def steps(self) -> Iterator[str]:
        name, digest = self.name, f"(SELECT {self.digest_in_sql()} FROM digests)"
        same, new = f"same_plug_in_{self.place}", f"new_plug_in_{self.place}"
        yield f"""
        {same} AS MATERIALIZED (
            SELECT id FROM ours.component_states
            WHERE component = '{name}' AND scope_id = :{self.scope}_id AND digest = {digest})
        """
        yield f"""
        {new} AS (
            INSERT INTO ours.component_states (component, scope_id, content, form, digest)
            SELECT '{name}', :{self.scope}_id, coalesce((SELECT {self._column} FROM live), 'null'),
                   {len(self.forms)}, {digest}
            FROM wanted WHERE NOT EXISTS (SELECT FROM {same})
            RETURNING id)
        """
        yield f"""
        linked_plug_in_{self.place} AS (
            INSERT INTO ours.release_components (release_id, component, component_state_id)
            SELECT release.id, '{name}', state.id
            FROM release CROSS JOIN (SELECT id FROM {new} UNION ALL SELECT id FROM {same}) AS state)
        """

    @property
    def _column(self) -> str:
        return f'"{self.name}"'


def component_state(
    name: str, scope: Scope, *, lifts: Sequence[Callable[[str], str]] = (), place: int = 0
) -> ComponentState:
    """The part of a plug-in. `lifts`: for each older form, from the first, its content as one of the next form."""
    older = (Form({name: AS_STORED}, {name: lift}) for lift in lifts)
    return ComponentState(name, scope, (*older, Form({name: AS_STORED})), place)


GARBAGE = Garbage(
    "ours.component_states",
    "scope_id IN (:toolset_id, :project_id, :organization_id)",
    "NOT EXISTS (SELECT FROM ours.release_components WHERE component_state_id = content.id)",
)
