"""The variations of one scope: of an organization, or of one toolset."""

from collections.abc import Iterator
from dataclasses import dataclass

from release_worker.domain.digests import StateDigests
from release_worker.store.owners.relations import ORGANIZATION
from release_worker.store.parts.part import Form, Garbage


@dataclass(frozen=True, slots=True)
class VariationVersion:
    """Rows of `variation_versions` of one scope, numbered, each following the one before; none if there are no
    variations. The component has the part's name."""

    name: str
    owner: str
    ours: str
    forms: tuple[Form, ...]
    table: str = "ours.variation_versions"

    def source(self, role: str) -> str:
        return f"(SELECT * FROM ours.variation_versions WHERE id = :{role}_{self.name}_version_id) AS part"

    def digest(self, digests: StateDigests, form: Form) -> str | None:
        return digests[self.name]

    def digest_in_sql(self) -> str:
        return self.name

    def steps(self) -> Iterator[str]:
        name = self.name
        yield f"""
        latest_{name} AS MATERIALIZED (
            SELECT id, version, digest FROM ours.variation_versions
            WHERE organization_id = :organization_id AND {self.ours} ORDER BY version DESC LIMIT 1)
        """
        yield f"""
        new_{name} AS (
            INSERT INTO ours.variation_versions (
                scope, organization_id, toolset_id, version, config, form, digest, predecessor_id)
            SELECT '{name.removesuffix("_variations")}', {ORGANIZATION.name}.id, {self.owner},
                   coalesce(latest.version, 0) + 1, (SELECT {name} FROM live), {len(self.forms)}, parts.{name},
                   latest.id
            FROM wanted CROSS JOIN parts CROSS JOIN {ORGANIZATION.table} LEFT JOIN latest_{name} AS latest ON true
            WHERE {ORGANIZATION.ours}
              AND parts.{name} IS NOT NULL AND latest.digest IS DISTINCT FROM parts.{name}
            FOR KEY SHARE OF {ORGANIZATION.name} NOWAIT
            RETURNING id)
        """
        yield f"""
        {name}_version AS (
            SELECT id FROM new_{name}
            UNION ALL
            SELECT id FROM latest_{name} AS latest JOIN parts ON latest.digest = parts.{name})
        """


GLOBAL_VARIATIONS = VariationVersion(
    "global_variations", "CAST(NULL AS uuid)", "toolset_id IS NULL", (Form({"global_variations": "config"}),)
)
TOOLSET_VARIATIONS = VariationVersion(
    "toolset_variations", ":toolset_id", "toolset_id = :toolset_id", (Form({"toolset_variations": "config"}),)
)
GARBAGE = Garbage(
    "ours.variation_versions",
    "organization_id = :organization_id AND (toolset_id = :toolset_id OR toolset_id IS NULL)",
    # The newest version stays: the next one is compared with it and numbered after it.
    """
    NOT EXISTS (
        SELECT FROM ours.toolset_releases
        WHERE content.id IN (global_variations_version_id, toolset_variations_version_id))
    AND EXISTS (
        SELECT FROM ours.variation_versions AS newer
        WHERE newer.organization_id = content.organization_id
          AND newer.toolset_id IS NOT DISTINCT FROM content.toolset_id AND newer.version > content.version)
    """,
    chained=True,
)
