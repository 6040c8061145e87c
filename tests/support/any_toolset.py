"""Toolsets of any content, for property tests."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.support.strategies import JSON_VALUES, KEYS
from tests.support.world import Toolset, World

NAMES = KEYS.filter(bool)
POSITIONS = st.integers(-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Content:
    """What a toolset, its project and its organization have."""

    tools: dict[str, int]
    resources: dict[str, int]
    settings: Any
    description: str | None
    varied: dict[str, Any]
    varied_for_all: dict[str, Any]
    configured: dict[str, Any]
    prompts: dict[str, str]
    deployed: dict[str, Any] | None


CONTENTS = st.builds(
    Content,
    tools=st.dictionaries(NAMES, POSITIONS, max_size=4),
    resources=st.dictionaries(NAMES, POSITIONS, max_size=3),
    settings=JSON_VALUES,
    description=st.none() | KEYS,
    varied=st.dictionaries(NAMES, JSON_VALUES, max_size=3),
    varied_for_all=st.dictionaries(NAMES, JSON_VALUES, max_size=3),
    configured=st.dictionaries(NAMES, JSON_VALUES, max_size=3),
    prompts=st.dictionaries(NAMES, KEYS, max_size=3),
    deployed=st.none() | st.dictionaries(NAMES, JSON_VALUES, max_size=3),
)


def empty_toolset(engine: Engine) -> Toolset:
    """In an organization of its own."""
    return World(engine).organization(f"org-{uuid4().hex}").project("project").toolset("toolset")


def write_own(toolset: Toolset, content: Content) -> None:
    """What is the toolset's own, into one that has nothing."""
    for urn, position in content.tools.items():
        toolset.add_tool(urn, position)
    for urn, position in content.resources.items():
        toolset.add_resource(urn, position)
    for urn, config in content.varied.items():
        toolset.vary(urn, config)
    toolset.edit(settings=content.settings, description=content.description)


def write_all(toolset: Toolset, content: Content) -> None:
    """Everything, into a toolset whose project and organization have nothing either."""
    write_own(toolset, content)
    for urn, config in content.varied_for_all.items():
        toolset.project.organization.vary(urn, config)
    for key, value in content.configured.items():
        toolset.project.configure(key, value)
    for name, prompt in content.prompts.items():
        toolset.project.add_prompt(name, prompt=prompt)
    if content.deployed is not None:
        toolset.project.deploy(
            tools=content.deployed,
            resources=content.deployed,
            assets={("function", name): config for name, config in content.deployed.items()},
        )
