"""A toolset's lists and settings."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from release_worker.domain import canonical_json
from release_worker.domain.digests import StateDigests
from release_worker.store.parts.part import Form, Garbage, object_in_sql


def _list(kind: str) -> str:
    """Positions are those that the apps had given; NULL stands for 0, 1, 2, …"""
    numbered = f"ARRAY(SELECT generate_series(0, cardinality({kind}_urns) - 1))"
    return (
        f"jsonb_build_object('urns', to_jsonb({kind}_urns), "
        f"'positions', to_jsonb(coalesce({kind}_positions, {numbered})))"
    )


FIRST = Form(
    {
        "tools": _list("tool"),
        "resources": _list("resource"),
        "settings": "jsonb_build_object('name', name, 'description', description, 'settings', settings)",
    }
)


@dataclass(frozen=True, slots=True)
class ToolsetVersion:
    """Rows of `toolset_versions`, numbered for each toolset, each following the one before."""

    name: str = "toolset_version"
    table: str = "ours.toolset_versions"
    forms: tuple[Form, ...] = field(default=(FIRST,))

    def source(self, role: str) -> str:
        return f"(SELECT * FROM ours.toolset_versions WHERE id = :{role}_toolset_version_id) AS part"

    def digest(self, digests: StateDigests, form: Form) -> str:
        return canonical_json.digest({name: digests[name] for name in form.contents})

    def digest_in_sql(self) -> str:
        return f"ours.release_worker_digest({object_in_sql({name: name for name in self.forms[-1].contents})})"

    def steps(self) -> Iterator[str]:
        yield """
        latest_toolset_version AS MATERIALIZED (
            SELECT id, version, digest FROM ours.toolset_versions
            WHERE toolset_id = :toolset_id ORDER BY version DESC LIMIT 1)
        """
        yield f"""
        new_toolset_version AS (
            INSERT INTO ours.toolset_versions (
                toolset_id, version, tool_urns, tool_positions, resource_urns, resource_positions,
                name, description, settings, form, digest, predecessor_id)
            SELECT :toolset_id, coalesce(latest.version, 0) + 1,
                   {_array("tools", "urns", "text")}, {_array("tools", "positions", "int")},
                   {_array("resources", "urns", "text")}, {_array("resources", "positions", "int")},
                   settings ->> 'name', settings ->> 'description', settings -> 'settings', {len(self.forms)},
                   parts.toolset_version, latest.id
            FROM wanted CROSS JOIN parts CROSS JOIN (SELECT settings FROM live) AS live
            LEFT JOIN latest_toolset_version AS latest ON true
            WHERE latest.digest IS DISTINCT FROM parts.toolset_version
            RETURNING id, version)
        """
        yield """
        toolset_version AS (
            SELECT id, version FROM new_toolset_version
            UNION ALL
            SELECT id, version FROM latest_toolset_version JOIN parts ON digest = parts.toolset_version)
        """


def _array(component: str, member: str, of: str) -> str:
    return f"(SELECT {member} FROM jsonb_to_record((SELECT {component} FROM live)) AS content ({member} {of}[]))"


TOOLSET_VERSION = ToolsetVersion()
GARBAGE = Garbage(
    "ours.toolset_versions",
    "toolset_id = :toolset_id",
    # The newest version stays: the next one is compared with it and numbered after it.
    """
    NOT EXISTS (SELECT FROM ours.toolset_releases WHERE toolset_version_id = content.id)
    AND EXISTS (
        SELECT FROM ours.toolset_versions AS newer
        WHERE newer.toolset_id = content.toolset_id AND newer.version > content.version)
    """,
    chained=True,
)
