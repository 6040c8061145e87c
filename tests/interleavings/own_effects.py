"""What the product's own edits come to, in plain Python."""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from release_worker.domain.openapi.reading import written
from release_worker.domain.openapi.tools import read_openapi
from tests.interleavings.scene import A, B, R, S, Y
from tests.support.exact_json import exact, parsed
from tests.support.model import ToolsetModel
from tests.support.openapi import minimal

if TYPE_CHECKING:
    from tests.interleavings.prediction import SceneModel

IMPORTED = read_openapi(written(minimal()))
# What names owners, and which; all else names the toolset `one` by its id.
_NAMED = {
    "add a toolset ourselves": {"project", "organization"},
    "rename the project ourselves": {"project", "organization"},
    "rename the organization ourselves": {"organization"},
}
# The freeze of the scene is of the project.
_NEVER_FROZEN = ("add a toolset ourselves", "rename the organization ourselves")


def effect_of_own(name: str, model: "SceneModel") -> str | None:
    """Change the model as this edit does; its error, None for success."""
    if name not in _NAMED and "one" in model.deleted:
        return "ToolsetNotFound"
    if _NAMED.get(name, set()) & model.renamed:
        return "OwnerNotFound"
    if name == "add a toolset ourselves" and "four" in model.toolsets:
        return "NameTaken"
    if "one" in model.frozen and name not in _NEVER_FROZEN:
        return "Frozen"
    _EFFECTS[name](model)
    return None


def _own(model: "SceneModel") -> dict[str, Any]:
    return model.toolsets["one"].own


def _list(model: "SceneModel") -> None:
    tools = dict(_own(model)["tools"])
    tools.pop(A, None)
    tools.setdefault(Y, max(tools.values(), default=-1) + 1)
    ordered = sorted(tools, key=lambda urn: (tools[urn], urn.encode()))
    _own(model)["tools"] = {urn: place for place, urn in enumerate([S, *(urn for urn in ordered if urn != S)])}


def _rename(model: "SceneModel") -> None:
    settings = _own(model)["settings"]
    settings["name"] = "Eins"
    settings["settings"] = exact({**parsed(settings["settings"]), "x": 1})


def _prompts(model: "SceneModel") -> None:
    prompts = model.system["prompts"]
    prompts["q"]["prompt"] = "ours"
    new = {"description": None, "kind": "prompt", "arguments": None, "tool_urn": None}
    prompts["p"] = {**new, **prompts.get("p", {}), "prompt": "ours", "engine": "jinja"}
    model.system["config"]["k"] = "9"


def _deploy(model: "SceneModel") -> None:
    model.active = uuid4()
    model.deployments[model.active] = {
        "status": "completed",
        "assets": {"function/f": {"name": "F", "sha256": "0" * 64, "config": "7"}},
        "tools": {urn: {"name": urn, "description": None, "definition": "7"} for urn in (A, S)},
        "resources": {},
    }


def _vary(model: "SceneModel") -> None:
    _own(model)["toolset_variations"].pop(A, None)
    _own(model)["toolset_variations"][S] = exact({"own": 1})


def _vary_for_all(model: "SceneModel") -> None:
    model.global_variations.pop(Y, None)
    model.global_variations[B] = exact({"own": 1})


def _everything(model: "SceneModel") -> None:
    own = _own(model)
    own["settings"]["description"] = "ours"
    own["tools"].setdefault(Y, max(own["tools"].values(), default=-1) + 1)
    own["resources"].pop(R, None)
    own["toolset_variations"][S] = exact({"own": 1})
    model.system["config"]["k"] = "9"
    model.global_variations[B] = exact({"own": 1})
    _deploy(model)


def _import(model: "SceneModel") -> None:
    """A tool and an asset more, in a new deployment; the tool is listed if it is new to the project or the list."""
    assert model.active is not None
    [tool], asset = IMPORTED.catalogue.tools, IMPORTED.asset
    before = model.deployments[model.active]
    after = deepcopy(before)
    after["tools"][tool.urn] = {**tool.item, "definition": exact(tool.definition)}
    after["assets"][asset.key] = {**asset.item, "config": exact(asset.config)}
    tools = _own(model)["tools"]
    if tool.urn not in tools:
        tools[tool.urn] = max(tools.values(), default=-1) + 1
    if after != before:
        model.active = uuid4()
        model.deployments[model.active] = after


def _add_toolset(model: "SceneModel") -> None:
    settings = {"name": "four", "description": None, "settings": "{}"}
    model.toolsets["four"] = ToolsetModel(
        {"tools": {}, "resources": {}, "settings": settings, "toolset_variations": {}}
    )


def _rename_project(model: "SceneModel") -> None:
    model.renamed.add("project")


def _rename_organization(model: "SceneModel") -> None:
    model.renamed.add("organization")


_EFFECTS: dict[str, Callable[["SceneModel"], None]] = {
    "edit the list ourselves": _list,
    "rename the toolset ourselves": _rename,
    "edit prompts ourselves": _prompts,
    "deploy ourselves": _deploy,
    "vary for one ourselves": _vary,
    "vary for all ourselves": _vary_for_all,
    "edit everything ourselves": _everything,
    "import ourselves": _import,
    "add a toolset ourselves": _add_toolset,
    "rename the project ourselves": _rename_project,
    "rename the organization ourselves": _rename_organization,
}
