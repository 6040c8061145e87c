"""Who provides the tools and resources that a toolset lists: the active deployment, and prompt templates with a tool
URN."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from release_worker.state.deployment import deployment
from release_worker.state.membership import Membership
from release_worker.state.states import State
from release_worker.state.system import system
from release_worker.state.urns import slugs_of

TOLD = 10  # of the URNs that a warning is about


def unprovided(connection: Connection, kind: str, *, listed: State, sources: State) -> tuple[str, ...]:
    """The URNs that `listed` lists, of kind `tools` or `resources`, and `sources` do not provide; sorted."""
    both = listed.over(sources)
    return tuple(sorted(both.query(connection, _unprovided(kind, listed, sources)).scalars()))


def count_unprovided(
    connection: Connection, kinds: Sequence[str], *, listed: State, sources: State
) -> dict[str, tuple[Sequence[str], int]]:
    """The first ten of each of these kinds, and how many there are."""
    if not kinds:
        return {}
    steps = ", ".join(f"{kind} AS MATERIALIZED ({_unprovided(kind, listed, sources)})" for kind in kinds)
    columns = ", ".join(
        f'ARRAY(SELECT urn FROM {kind} ORDER BY urn COLLATE "C" LIMIT {TOLD}), (SELECT count(*) FROM {kind})'
        for kind in kinds
    )
    row = listed.over(sources).query(connection, f"WITH {steps} SELECT {columns}").one()
    return {kind: (row[2 * place], row[2 * place + 1]) for place, kind in enumerate(kinds)}


def _unprovided(kind: str, listed: State, sources: State) -> str:
    return f"SELECT urn FROM ({Membership.listed(listed[kind])}) AS listed EXCEPT ({sources.provided(kind)})"


@dataclass(frozen=True, slots=True)
class Additions:
    """What is provided again from a release's snapshot: definitions by URN, the assets that they run as `kind/slug`,
    templates as `{name: tool_urn}`."""

    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def to_deployment(self) -> bool:
        return bool(self.tools or self.resources)

    def short_of(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """What is wanted and not among these, by kind; empty if nothing is."""
        provided = {"tools": {*self.tools, *self.prompts.values()}, "resources": set(self.resources)}
        left = {kind: tuple(urn for urn in urns if urn not in provided[kind]) for kind, urns in wanted.items()}
        return {kind: urns for kind, urns in left.items() if urns}


def find_additions(
    connection: Connection,
    *,
    tools: tuple[str, ...],
    resources: tuple[str, ...],
    live: State,
    snapshot: State,
) -> Additions:
    """Which definitions and templates of the snapshot can provide these again; not a template whose name is taken.

    An asset comes along if a definition's URN is of its slug, and the active deployment lacks it.
    """
    both = snapshot.over(live)
    wanted = {"wanted_tools": list(tools), "wanted_resources": list(resources)}

    def defined(kind: str) -> tuple[str, ...]:
        query = f"""
            SELECT urn FROM unnest(CAST(:wanted_{kind} AS text[])) AS urn
            WHERE urn IN (SELECT jsonb_object_keys({snapshot["deployment"]} -> '{kind}'))
        """
        return tuple(both.query(connection, query, **wanted).scalars())

    templates = f"""
        SELECT key, value ->> 'tool_urn' FROM jsonb_each({snapshot["system"]} -> 'prompts')
        WHERE value ->> 'tool_urn' = ANY (CAST(:wanted_tools AS text[]))
          AND NOT coalesce({snapshot["deployment"]} -> 'tools' ? (value ->> 'tool_urn'), false)
          AND NOT {live["system"]} -> 'prompts' ? key
    """
    prompts: dict[str, str] = dict(both.query(connection, templates, **wanted).all())
    definitions = {"tools": defined("tools"), "resources": defined("resources")}
    urns = [*definitions["tools"], *definitions["resources"]]
    assets = f"""
        SELECT key FROM jsonb_object_keys({snapshot["deployment"]} -> 'assets') AS key
        WHERE key NOT IN (SELECT jsonb_object_keys({live["deployment"]} -> 'assets'))
          AND substring(key FROM position('/' IN key) + 1) IN (
              SELECT slug FROM unnest(CAST(:urns AS text[])) AS urn, LATERAL ({slugs_of("urn")}) AS slugs)
    """
    found = both.query(connection, assets, urns=urns).scalars() if urns else ()
    return Additions(**definitions, assets=tuple(found), prompts=prompts)


def add(connection: Connection, additions: Additions, *, live: State, snapshot: State) -> None:
    """Provide the additions in a new deployment, a copy of the active one that only gains, and as templates."""
    wanted = {
        **live.parameters,
        **snapshot.parameters,
        "added_tools": list(additions.tools),
        "added_resources": list(additions.resources),
        "added_assets": list(additions.assets),
        "added_prompts": list(additions.prompts),
    }
    if additions.to_deployment:
        deployment.add(connection, _added_definitions(snapshot), wanted)
    if additions.prompts:
        system.add(connection, _added_prompts(snapshot), wanted)


def _added_definitions(snapshot: State) -> str:
    def chosen(kind: str) -> str:
        return f"""(
            SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each({snapshot["deployment"]} -> '{kind}')
            WHERE key = ANY (CAST(:added_{kind} AS text[])))"""

    sections = ", ".join(f"'{kind}', {chosen(kind)}" for kind in ("assets", "tools", "resources"))
    return f"jsonb_build_object({sections})"


def _added_prompts(snapshot: State) -> str:
    return f"""(
        SELECT jsonb_build_object('prompts', jsonb_object_agg(key, value))
        FROM jsonb_each({snapshot["system"]} -> 'prompts') WHERE key = ANY (CAST(:added_prompts AS text[])))"""
