"""What a release holds of chosen components, item by item, with secrets hidden."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.changes import shown_item
from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import check_component_names
from release_worker.state.registry import Registry
from release_worker.state.states import captured_state
from release_worker.store.parts.part import NOTHING_WRITTEN

Contents = dict[str, dict[str, Any]]


def contents_of(connection: Connection, release: Release, registry: Registry, names: Sequence[str]) -> Contents:
    """Items by key, by component. Raises InvalidRequest for an unknown component."""
    check_component_names(names, registry.names)
    state = captured_state(release, registry, names)
    found: Contents = {}
    for name in names:
        items = registry[name].diff(NOTHING_WRITTEN, state[name])
        rows = state.query(connection, f'SELECT key, new FROM ({items}) AS items ORDER BY key COLLATE "C"')
        found[name] = {key: shown_item(key, item, name, registry.secrets) for key, item in rows}
    return found
