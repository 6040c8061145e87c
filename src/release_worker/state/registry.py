"""The list of components: the seven built in, and those that installed packages add."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points

from release_worker.domain.digests import BUILT_IN
from release_worker.domain.secrets import DEFAULT_SECRET_KEYS, SecretKeys
from release_worker.domain.subject import Scope
from release_worker.state.component import Component, HasForms
from release_worker.state.deployment import deployment
from release_worker.state.membership import resources, tools
from release_worker.state.settings import settings
from release_worker.state.system import system
from release_worker.state.variations import global_variations, toolset_variations
from release_worker.store.parts import ComponentState
from release_worker.store.parts.component_state import component_state

ENTRY_POINTS = "release_worker.components"

# Restored in this order: what provides before what is provided.
_BUILT_IN: tuple[Component, ...] = (
    deployment,
    system,
    settings,
    tools,
    resources,
    global_variations,
    toolset_variations,
)


@dataclass(frozen=True, slots=True)
class Registry:
    """What a release captures, in the order in which it is restored, and which values of it are never shown."""

    all: tuple[Component, ...]
    secrets: SecretKeys = DEFAULT_SECRET_KEYS

    def __post_init__(self) -> None:
        names = [component.name for component in self.all]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"components registered twice: {', '.join(sorted(twice))}")

    def __iter__(self) -> Iterator[Component]:
        return iter(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """The built-in names in the order in which users know them, then those of the plug-ins."""
        return (*BUILT_IN, *(component.name for component in self.plug_ins))

    @property
    def plug_ins(self) -> tuple[Component, ...]:
        return tuple(component for component in self.all if component.name not in BUILT_IN)

    def of_scope(self, scope: Scope) -> tuple[Component, ...]:
        """Those whose state such an owner has."""
        return tuple(component for component in self.all if component.scope == scope)

    @property
    def parts(self) -> tuple[ComponentState, ...]:
        """How a release refers to the states of plug-ins, and reads those of their older forms."""
        return tuple(_part(component, place) for place, component in enumerate(self.plug_ins))

    def __getitem__(self, name: str) -> Component:
        return next(component for component in self.all if component.name == name)


def _part(component: Component, place: int) -> ComponentState:
    lifts = (
        [partial(component.lift, form=form) for form in range(1, component.form)]
        if isinstance(component, HasForms)
        else ()
    )
    return component_state(component.name, component.scope, lifts=lifts, place=place)


def built_in_components() -> Registry:
    """The seven components that are always there."""
    return Registry(_BUILT_IN)


def installed_components(secrets: SecretKeys = DEFAULT_SECRET_KEYS) -> Registry:
    """The built-in components and one for each entry point in the group `release_worker.components`.

    `secrets` are the keys whose values are not shown. An entry point names a `Component` object. Raises ValueError
    if a name is taken, and whatever the import raises.
    """
    plug_ins = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
    return Registry((*_BUILT_IN, *(entry.load() for entry in plug_ins)), secrets)
