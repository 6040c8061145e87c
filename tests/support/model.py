"""A project in plain Python: its live state, its releases, and what each operation must do to them."""

from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from uuid import UUID

from tests.support.exact_json import exact, parsed
from tests.support.live_state import LiveState

KINDS = ("tools", "resources")
COMPONENTS = (*KINDS, "settings", "deployment", "system", "global_variations", "toolset_variations")
SHARED = ("deployment", "system", "global_variations")
NO_DEPLOYMENT: LiveState = {"status": None, "assets": {}, "tools": {}, "resources": {}}
NO_SYSTEM: LiveState = {"config": {}, "prompts": {}}


@dataclass
class ToolsetModel:
    """What a toolset alone owns, and its history. `elsewhere`: it is in another project, which is empty."""

    own: LiveState
    elsewhere: bool = False
    releases: list[LiveState] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    deployments: list[UUID | None] = field(default_factory=list)  # active when each release was captured
    current: int | None = None


@dataclass
class Expected:
    """A rollback as it ought to go: refused for `missing`, refused for its `impact`, or done with the state `after`."""

    missing: dict[str, list[str]]
    impact: dict[str, list[str]]
    before: LiveState
    after: LiveState

    @property
    def changed(self) -> set[str]:
        return {name for name in COMPONENTS if self.before[name] != self.after[name]}


@dataclass
class ProjectModel:
    toolsets: dict[str, ToolsetModel]
    deployments: dict[UUID, LiveState] = field(default_factory=dict)
    active: UUID | None = None
    system: LiveState = field(default_factory=lambda: {"config": {}, "prompts": {}})
    global_variations: LiveState = field(default_factory=dict)

    def live(self, slug: str) -> LiveState:
        """As `live_state` reads it."""
        shared = {
            "deployment": None if self.active is None else self.deployments[self.active],
            "system": self.system,
            "global_variations": self.global_variations,
        }
        return deepcopy({**self.toolsets[slug].own, **shared})

    def drifted(self, slug: str) -> set[str]:
        """The components that differ from the current release."""
        toolset = self.toolsets[slug]
        held = {} if toolset.current is None else toolset.releases[toolset.current - 1]
        return {name for name in COMPONENTS if self.live(slug)[name] != held.get(name)}

    def capture(self, slug: str, kind: str) -> int:
        """Live state as the next release; returns its number."""
        toolset, state = self.toolsets[slug], self.live(slug)
        toolset.releases.append(state)
        toolset.kinds.append(kind)
        toolset.deployments.append(self.active)
        return len(toolset.releases)

    def release(self, slug: str) -> None:
        self.toolsets[slug].current = self.capture(slug, "release")

    def expect(self, slug: str, number: int, components: tuple[str, ...], on_missing: str) -> Expected:
        """What a rollback ought to do."""
        before, target = self.live(slug), self.toolsets[slug].releases[number - 1]
        after = {**before, **{name: deepcopy(target[name]) for name in components}}
        missing = {
            kind: sorted(
                urn for urn in target[kind] if urn not in provided(after, kind) and urn in provided(target, kind)
            )
            for kind in KINDS
            if kind in components
        }
        match on_missing:
            case "skip":
                for kind, urns in missing.items():
                    after[kind] = {urn: place for urn, place in after[kind].items() if urn not in urns}
                missing = {}
            case "recreate":
                missing = recreate(after, target, missing)
        left = {kind: missing.get(kind, []) for kind in KINDS}
        refused = left if any(left.values()) else {}
        return Expected(refused, {} if refused else self._impact(slug, before, after), before, after)

    def is_noop(self, slug: str, number: int, expected: Expected) -> bool:
        toolset = self.toolsets[slug]
        if expected.changed:
            return False
        if expected.before == toolset.releases[number - 1]:
            return toolset.current == number
        return not self.drifted(slug)

    def roll_back(self, slug: str, number: int, expected: Expected, active: UUID | None) -> bool:
        """Do what was expected; `active` is the deployment that is active now. Returns whether a backup was made."""
        toolset = self.toolsets[slug]
        backed_up = bool(expected.changed and self.drifted(slug))
        if backed_up:
            self.capture(slug, "backup")
        self._put(slug, expected.after, active)
        at_target = expected.after == toolset.releases[number - 1]
        toolset.current = number if at_target else self.capture(slug, "restored")
        return backed_up

    def original_of(self, slug: str, number: int) -> UUID | None:
        """The deployment of a release, where it still is what it was."""
        toolset = self.toolsets[slug]
        target, original = toolset.releases[number - 1], toolset.deployments[number - 1]
        return original if original in self.deployments and self.deployments[original] == target["deployment"] else None

    def _put(self, slug: str, state: LiveState, active: UUID | None) -> None:
        own = self.toolsets[slug].own
        own.update({name: deepcopy(state[name]) for name in own})
        self.system, self.global_variations = deepcopy(state["system"]), deepcopy(state["global_variations"])
        self.active = active
        if active is not None:
            known = self.deployments.setdefault(active, deepcopy(state["deployment"]))
            assert known == state["deployment"], "an existing deployment was made active that has another content"

    def _impact(self, slug: str, before: LiveState, after: LiveState) -> dict[str, list[str]]:
        """The other toolsets that would serve something else, and through which components."""
        found = {}
        for other, toolset in self.toolsets.items():
            was, will_be = (served(_seen_by(toolset, shared)) for shared in (before, after))
            if other != slug and was != will_be:
                found[other] = sorted(name for name in SHARED if was[name] != will_be[name])
        return found


def _seen_by(toolset: ToolsetModel, shared: LiveState) -> LiveState:
    """A toolset's live state, if what it shares is this; of another project's it shares only the variations."""
    foreign = {"deployment": None, "system": NO_SYSTEM} if toolset.elsewhere else {}
    return {**{name: shared[name] for name in SHARED}, **foreign, **toolset.own}


def provided(state: LiveState, kind: str) -> set[str]:
    """The URNs that the active deployment defines, and for tools those of the prompt templates."""
    defined = set((state["deployment"] or {}).get(kind, ()))
    prompts = {one["tool_urn"] for one in state["system"]["prompts"].values() if one["tool_urn"] is not None}
    return defined | prompts if kind == "tools" else defined


def recreate(after: LiveState, target: LiveState, missing: dict[str, list[str]]) -> dict[str, list[str]]:
    """Add to `after` what can provide the missing again; returns what is still missing."""
    snapshot = target["deployment"] or {kind: {} for kind in KINDS}
    added = {kind: [urn for urn in urns if urn in snapshot[kind]] for kind, urns in missing.items()}
    prompts = {
        name: prompt
        for name, prompt in target["system"]["prompts"].items()
        if prompt["tool_urn"] in set(missing.get("tools", ())) - snapshot["tools"].keys()
        and name not in after["system"]["prompts"]
    }
    again = {prompt["tool_urn"] for prompt in prompts.values()}
    if any(added.values()):
        after["deployment"] = _grown(after["deployment"], snapshot, added)
    after["system"] = {**after["system"], "prompts": {**after["system"]["prompts"], **deepcopy(prompts)}}
    return {kind: [urn for urn in urns if urn not in again.union(added[kind])] for kind, urns in missing.items()}


def served(state: LiveState) -> LiveState:
    """What a toolset whose live state is this serves by way of each component that it shares with others."""
    listed = {kind: state[kind].keys() for kind in KINDS}
    return {
        "deployment": _deployed(listed, state["deployment"] or NO_DEPLOYMENT),
        "system": (
            state["system"]["config"],
            {
                name: prompt
                for name, prompt in state["system"]["prompts"].items()
                if not prompt["tool_urn"] or prompt["tool_urn"] in listed["tools"]
            },
        ),
        "global_variations": {
            urn: overlaid(state["global_variations"].get(urn), state["toolset_variations"].get(urn))
            for urn in listed["tools"]
        },
    }


def _deployed(listed: Mapping[str, Collection[str]], deployment: LiveState) -> LiveState:
    """The definitions, the status of what provides any, and the code and the configuration behind what is listed."""
    definitions = {
        kind: {urn: deployment[kind][urn] for urn in listed[kind] if urn in deployment[kind]} for kind in KINDS
    }
    slugs = sources(urn for kind in KINDS for urn in listed[kind])
    assets = {key: asset for key, asset in deployment["assets"].items() if key.partition("/")[2] in slugs}
    return {
        "definitions": definitions,
        "status": deployment["status"] if any(definitions.values()) else None,
        "assets": {key: asset["config"] if key.startswith("openapiv3/") else asset for key, asset in assets.items()},
    }


def sources(urns: Iterable[str]) -> set[str]:
    """The slugs that these URNs are of: `tools:function:a:b` is of `a` and of `a:b`."""
    found = set()
    for urn in urns:
        parts = urn.split(":")
        found |= {":".join(parts[2:end]) for end in range(3, len(parts) + 1)}
    return found


def overlaid(below: str | None, above: str | None) -> str:
    """A variation over another, field by field where both are objects."""
    lower, upper = (parsed(one) if one is not None else {} for one in (below, above))
    if isinstance(lower, dict) and isinstance(upper, dict):
        return exact({**lower, **upper})
    return exact(upper if above is not None else lower)


def _grown(deployment: LiveState | None, snapshot: LiveState, added: dict[str, list[str]]) -> LiveState:
    """A deployment with definitions of a snapshot, and with the code that they run where it is lacking."""
    grown = deepcopy(deployment or {**NO_DEPLOYMENT, "status": "completed"})
    for kind, urns in added.items():
        grown[kind] |= {urn: deepcopy(snapshot[kind][urn]) for urn in urns}
    slugs = sources(urn for urns in added.values() for urn in urns)
    for key, asset in snapshot["assets"].items():
        if key.partition("/")[2] in slugs:
            grown["assets"].setdefault(key, deepcopy(asset))
    return grown
