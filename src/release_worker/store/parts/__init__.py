"""The parts of a release: rows that hold each content once, and that releases refer to.

A part has one module. It owns how the part is written and digested, what its content is in SQL, in which forms it has
been written over time, and when nothing needs it any more. Captures, integrity checks, rollbacks and prunes go over
the parts.
"""

from release_worker.store.parts import component_state, source_state, toolset_version, variation_version
from release_worker.store.parts.component_state import ComponentState
from release_worker.store.parts.part import Form, Garbage, Part
from release_worker.store.parts.source_state import SOURCE_STATE
from release_worker.store.parts.toolset_version import TOOLSET_VERSION
from release_worker.store.parts.variation_version import GLOBAL_VARIATIONS, TOOLSET_VARIATIONS

# In the order in which they are written, and collected: what refers to others before what it refers to.
BUILT_IN_PARTS: tuple[Part, ...] = (TOOLSET_VERSION, SOURCE_STATE, GLOBAL_VARIATIONS, TOOLSET_VARIATIONS)
GARBAGE: tuple[Garbage, ...] = tuple(
    module.GARBAGE for module in (toolset_version, variation_version, source_state, component_state)
)

__all__ = ["BUILT_IN_PARTS", "GARBAGE", "ComponentState", "Form", "Garbage", "Part"]
