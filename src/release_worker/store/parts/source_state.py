"""A project's deployment and system configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from release_worker.domain import canonical_json
from release_worker.domain.digests import NOTHING, StateDigests
from release_worker.store.owners.relations import PROJECT
from release_worker.store.parts.part import Form, Garbage, object_in_sql

FIRST = Form({"deployment": "nullif(deployment_snapshot, 'null')", "system": "system_snapshot"})


@dataclass(frozen=True, slots=True)
class SourceState:
    """Rows of `source_states`: one for each digest of a project, whichever of its toolsets is released."""

    name: str = "source_state"
    table: str = "ours.source_states"
    forms: tuple[Form, ...] = field(default=(FIRST,))

    def source(self, role: str) -> str:
        return f"(SELECT * FROM ours.source_states WHERE id = :{role}_source_state_id) AS part"

    def digest(self, digests: StateDigests, form: Form) -> str:
        return canonical_json.digest({name: digests[name] or NOTHING for name in form.contents})

    def digest_in_sql(self) -> str:
        members = {name: f"coalesce({name}, '{NOTHING}')" for name in self.forms[-1].contents}
        return f"ours.release_worker_digest({object_in_sql(members)})"

    def steps(self) -> Iterator[str]:
        yield """
        same_source_state AS MATERIALIZED (
            SELECT id FROM ours.source_states
            WHERE project_id = :project_id AND digest = (SELECT source_state FROM parts))
        """
        yield f"""
        new_source_state AS (
            INSERT INTO ours.source_states (
                project_id, deployment_id, deployment_snapshot, system_snapshot, form, digest)
            SELECT id, {PROJECT.points_at}, coalesce((SELECT deployment FROM live), 'null'),
                   (SELECT system FROM live), {len(self.forms)}, parts.source_state
            FROM wanted CROSS JOIN parts CROSS JOIN {PROJECT.table}
            WHERE {PROJECT.ours} AND NOT EXISTS (SELECT FROM same_source_state)
            FOR KEY SHARE OF {PROJECT.name} NOWAIT
            RETURNING id)
        """
        yield "source_state AS (SELECT id FROM new_source_state UNION ALL SELECT id FROM same_source_state)"


SOURCE_STATE = SourceState()
GARBAGE = Garbage(
    "ours.source_states",
    "project_id = :project_id",
    "NOT EXISTS (SELECT FROM ours.toolset_releases WHERE source_state_id = content.id)",
)
