"""What the author of a plug-in needs: the protocol of a component, its helpers, and components that are ready to use.

    from release_worker.components import TableComponent

An installed package adds its components through the entry-point group `release_worker.components`. Check them with
`release_worker.testing.exercise_component`.
"""

from release_worker.components.table import TableComponent, UnlinkedTableComponent
from release_worker.domain.subject import Scope
from release_worker.state.component import (
    Component,
    HasForms,
    HasLiveRows,
    HasReach,
    Parameters,
    keyed_diff,
    members,
    once,
)

__all__ = [
    "Component",
    "HasForms",
    "HasLiveRows",
    "HasReach",
    "Parameters",
    "Scope",
    "TableComponent",
    "UnlinkedTableComponent",
    "keyed_diff",
    "members",
    "once",
]
