"""What each order of two actions comes to, by the model in plain Python; nothing of it is learnt from running them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine

from tests.interleavings.actions import Action, Edit, Operation, Planned
from tests.interleavings.own_edits import OwnEdit
from tests.interleavings.own_effects import effect_of_own
from tests.interleavings.scene import A, B, S, Scene, Y
from tests.support.exact_json import exact
from tests.support.live_state import LiveState, live_state
from tests.support.model import COMPONENTS, NO_SYSTEM, ProjectModel, ToolsetModel
from tests.support.records import captured_states, current_number, releases_of

HELD_OFF = ("create_release", "rollback", "apply_plan", "repair", "publish", "import_bundle")
OWN = ("tools", "resources", "settings", "toolset_variations")


Basis = tuple[LiveState, int | None, dict[str, list[str]], set[str], bool]


@dataclass
class SceneModel(ProjectModel):
    """The project `shop`, and `far` of another one."""

    deleted: set[str] = field(default_factory=set)
    pruned: dict[str, set[int]] = field(default_factory=dict)
    pinned: dict[str, set[int]] = field(default_factory=dict)
    named: dict[str, set[int]] = field(default_factory=dict)  # by rollbacks, which keeps releases
    modes: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)  # the living copy of a toolset
    bad: dict[str, set[int]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)  # of `project` and `organization`
    planned: dict[str, "Basis"] = field(default_factory=dict)

    def live(self, slug: str) -> LiveState:
        state = super().live(slug)
        return {**state, "deployment": None, "system": deepcopy(NO_SYSTEM)} if self.toolsets[slug].elsewhere else state

    def _put(self, slug: str, state: LiveState, active: UUID | None) -> None:
        if self.toolsets[slug].elsewhere:
            state, active = {**state, "system": self.system, "deployment": None}, self.active
            if active is not None:
                state["deployment"] = self.deployments[active]
        super()._put(slug, state, active)

    def _impact(self, slug: str, before: LiveState, after: LiveState) -> dict[str, list[str]]:
        found = super()._impact(slug, before, after)
        spared = {*self.deleted, self.copies.get(slug)}
        return {other: through for other, through in found.items() if other not in spared}

    def kept(self, slug: str) -> list[int]:
        """The numbers of the releases that are still there."""
        return [n for n in range(1, len(self.toolsets[slug].releases) + 1) if n not in self.pruned.get(slug, ())]


def model_of(engine: Engine, scene: Scene) -> SceneModel:
    """The model of what is there at the start."""
    live = {slug: live_state(engine, toolset) for slug, toolset in scene.toolsets.items()}
    held = {slug: captured_states(engine, toolset) for slug, toolset in scene.toolsets.items()}
    older, newer = scene.ids["older"], scene.ids["newer"]

    def toolset_of(slug: str) -> ToolsetModel:
        releases = [held[slug][number] for number in sorted(held[slug])]
        lineage = [None if slug == "far" else older if number == 1 else newer for number in sorted(held[slug])]
        return ToolsetModel(
            {name: live[slug][name] for name in OWN},
            elsewhere=slug == "far",
            releases=releases,
            kinds=[row.kind for row in releases_of(engine, scene.toolsets[slug])],
            deployments=list(lineage),
            current=current_number(engine, scene.toolsets[slug]),
        )

    return SceneModel(
        {slug: toolset_of(slug) for slug in scene.toolsets},
        deployments={older: deepcopy(held["one"][1]["deployment"]), newer: live["one"]["deployment"]},
        active=newer,
        copies={"one": "draft"},
        system=live["one"]["system"],
        global_variations=live["one"]["global_variations"],
    )


def predict(start: SceneModel, actions: Sequence[Action]) -> tuple[SceneModel, list[str | None]]:
    """The state after these, one after the other, all asked for before; and each one's error, None for success."""
    model = deepcopy(start)
    model.planned = {each.name: _basis(start, each) for each in actions if isinstance(each, Planned)}
    errors: list[str | None] = []
    for place, action in enumerate(actions):
        if isinstance(action, OwnEdit):
            errors.append(effect_of_own(action.name, model))
        elif isinstance(action, Edit):
            _EFFECTS[action.name.removesuffix(" unheld")](model)
            errors.append(None)
        else:
            waiting = [each for each in actions[place:] if isinstance(each, Operation)]
            if isinstance(action, Planned) and _has_moved(model, action):
                errors.append("StaleState")
            else:
                errors.append(_operate(model, action, waiting))
    return model, errors


def _basis(model: SceneModel, plan: Planned) -> Basis:
    """What a plan is decided from."""
    expected = model.expect(plan.toolset, plan.fields["release_number"], COMPONENTS, "fail")
    current = model.toolsets[plan.toolset].current
    refused = plan.fields["release_number"] in model.bad.get(plan.toolset, ())
    renamed = set(model.renamed) if expected.impact else set()  # a plan names whom it affects by their paths
    return model.live(plan.toolset), current, expected.impact, renamed, refused


def _has_moved(model: SceneModel, plan: Planned) -> bool:
    """Something of it; if the toolset or the release is gone, that is another error."""
    gone = plan.fields["release_number"] in model.pruned.get(plan.toolset, ())
    return plan.toolset not in model.deleted and not gone and _basis(model, plan) != model.planned[plan.name]


def _operate(model: SceneModel, operation: Operation, waiting: Sequence[Operation]) -> str | None:
    slug, number = operation.toolset, operation.fields.get("release_number")
    if (refusal := _refusal(model, operation)) is not None:
        return refusal
    match operation.kind:
        case "create_release":
            model.release(slug)
        case "rollback" | "apply_plan":
            if number in model.bad.get(slug, ()):
                return "ReleaseMarkedBad"
            return _roll_back(model, slug, **operation.fields)
        case "repair":
            current = model.toolsets[slug].current
            assert current is not None, "every toolset of the scene has one"
            return _roll_back(model, slug, release_number=current, **operation.fields)
        case "mark":
            model.bad.setdefault(slug, set()).add(operation.fields["release_number"])
        case "pin":
            model.pinned.setdefault(slug, set()).add(operation.fields["release_number"])
        case "prune":
            _prune(model, slug, operation.fields["keep"], waiting)
        case _:
            return _edit_otherwise(model, operation)
    return None


def _refusal(model: SceneModel, operation: Operation) -> str | None:
    """What refuses an operation whatever else it would come to."""
    slug = operation.toolset
    if slug in model.deleted or (operation.kind in ("publish", "discard") and slug not in model.copies):
        return "ToolsetNotFound"
    if operation.fields.get("release_number") in model.pruned.get(slug, ()):
        return "ReleaseNotFound"
    return "Frozen" if slug in model.frozen and operation.kind in HELD_OFF else None


def _edit_otherwise(model: SceneModel, operation: Operation) -> str | None:
    """What is about copies and bundles."""
    slug = operation.toolset
    match operation.kind:
        case "set_mode":
            model.modes[slug] = operation.fields["mode"]
        case "import_bundle":
            assert operation.bundle_of is not None
            _import(model, slug, *operation.bundle_of)
        case kind:
            return _stage(model, slug, kind)
    return None


def _stage(model: SceneModel, slug: str, kind: str) -> str | None:
    """What is about the copy."""
    copy = model.copies.get(slug)
    if kind == "stage":
        if copy is None:
            model.copies[slug] = f"{slug}-staging"
            model.toolsets[model.copies[slug]] = ToolsetModel(deepcopy(model.toolsets[slug].own))
        return None
    assert copy is not None, "or else it was refused"
    if kind == "publish":
        _take_over(model, slug, {**model.live(slug), **deepcopy(model.toolsets[copy].own)}, model.active)
    if kind == "discard" or model.modes.get(slug, "iteration") == "iteration":
        model.deleted.add(model.copies.pop(slug))
    return None


def _import(model: SceneModel, slug: str, origin: str, number: int) -> None:
    state = deepcopy(model.toolsets[origin].releases[number - 1])
    active = model.active if model.live(slug)["deployment"] == state["deployment"] else uuid4()
    _take_over(model, slug, state, active)


def _take_over(model: SceneModel, slug: str, state: LiveState, active: UUID | None) -> None:
    """Live state becomes this, and is released unless the current release holds it."""
    if model.live(slug) != state:
        if model.drifted(slug):
            model.capture(slug, "backup")
        model._put(slug, state, active)
    if model.drifted(slug):
        model.release(slug)


def _roll_back(
    model: SceneModel,
    slug: str,
    *,
    release_number: int,
    components: Sequence[str] = COMPONENTS,
    on_missing: str = "fail",
    allow_shared_impact: bool = False,
) -> str | None:
    expected = model.expect(slug, release_number, tuple(components), on_missing)
    if model.frozen and "global_variations" in expected.changed:  # a frozen project of the organization serves them
        return "Frozen"
    if expected.missing:
        return "MissingDependencies"
    if expected.impact and not allow_shared_impact:
        return "SharedStateImpact"
    if model.is_noop(slug, release_number, expected):
        return None
    active = model.active
    if "deployment" in expected.changed:
        original = model.original_of(slug, release_number) if "deployment" in components else None
        active = original or (uuid4() if expected.after["deployment"] is not None else None)
    before = model.toolsets[slug].current
    backed_up = model.roll_back(slug, release_number, expected, active)
    backups = {n for n, kind in enumerate(model.toolsets[slug].kinds, start=1) if kind == "backup"} if backed_up else ()
    model.named.setdefault(slug, set()).update({release_number, *([before] if before else []), *backups})
    return None


def _prune(model: SceneModel, slug: str, keep: int, waiting: Sequence[Operation]) -> None:
    asked = {each.fields.get("release_number") for each in waiting if each.toolset == slug}
    newest = set(model.kept(slug)[-keep:])
    spared = newest | asked | model.pinned.get(slug, set()) | model.named.get(slug, set())
    spared.add(model.toolsets[slug].current)
    model.pruned.setdefault(slug, set()).update(set(model.kept(slug)) - spared)


def _rewrite_list(model: SceneModel) -> None:
    model.toolsets["one"].own["tools"] = {Y: 0, S: 1}


def _edit_definition(model: SceneModel) -> None:
    assert model.active is not None
    deployment = model.deployments[model.active]
    deployment["tools"][S]["definition"] = "2"
    deployment["assets"]["function/f"]["sha256"] = "app"


def _deploy(model: SceneModel) -> None:
    assert model.active is not None
    copy = deepcopy(model.deployments[model.active])
    copy["tools"][A]["definition"] = "3"
    model.active = uuid4()
    model.deployments[model.active] = copy


def _edit_prompts(model: SceneModel) -> None:
    prompts = model.system["prompts"]
    prompts["q"]["prompt"] = "app"
    new: dict[str, Any] = {"engine": "mustache", "kind": "prompt", "description": None, "arguments": None}
    prompts["p"] = {**new, "tool_urn": None, **prompts.get("p", {}), "prompt": "app"}
    model.system["config"]["k"] = "3"


def _vary_for_all(model: SceneModel) -> None:
    model.global_variations.pop(Y, None)
    model.global_variations |= {urn: exact({"app": 1}) for urn in (S, B)}


def _vary_for_one(model: SceneModel) -> None:
    model.toolsets["one"].own["toolset_variations"] = {urn: exact({"app": 1}) for urn in (S, A)}


def _add_toolset(model: SceneModel) -> None:
    settings = {"name": "Three", "description": None, "settings": "{}"}
    own = {"tools": {Y: 0, S: 1}, "resources": {}, "settings": settings, "toolset_variations": {}}
    model.toolsets["three"] = ToolsetModel(own)


def _rename(model: SceneModel) -> None:
    model.toolsets["one"].own["settings"]["name"] = "Uno"


def _edit_copy(model: SceneModel) -> None:
    own = model.toolsets["draft"].own
    own["settings"]["description"] = "app"
    own["tools"][S] = 9
    own["toolset_variations"] = {A: exact({"app": 1})}


def _delete_copy(model: SceneModel) -> None:
    model.deleted.add("draft")
    if model.copies.get("one") == "draft":
        del model.copies["one"]


def _edit_and_ask(model: SceneModel) -> None:
    tools = model.toolsets["one"].own["tools"]
    tools |= {urn: place for urn, place in ((S, 7), (A, 8)) if urn in tools}


def _freeze(model: SceneModel) -> None:
    """All toolsets of the project `shop`."""
    model.frozen |= model.toolsets.keys() - {"far"}


def _delete(model: SceneModel) -> None:
    model.deleted.add("one")


_EFFECTS: dict[str, Callable[[SceneModel], None]] = {
    "rewrite the list": _rewrite_list,
    "edit a definition": _edit_definition,
    "deploy": _deploy,
    "edit prompts": _edit_prompts,
    "edit global variations": _vary_for_all,
    "edit the toolset's variations": _vary_for_one,
    "add a toolset": _add_toolset,
    "rename the toolset": _rename,
    "delete the toolset": _delete,
    "edit the copy": _edit_copy,
    "delete the copy": _delete_copy,
    "edit and ask": _edit_and_ask,
    "freeze the project": _freeze,
}
