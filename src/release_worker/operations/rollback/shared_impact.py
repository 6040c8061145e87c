"""Which other toolsets would serve something else when shared state is restored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from release_worker.state.blame import working_for
from release_worker.state.component import Component, HasReach
from release_worker.state.reach import LISTED, reach_of, with_touched
from release_worker.state.registry import Registry
from release_worker.state.states import State
from release_worker.store.owners.relations import LIVE, OWNED, PATH
from release_worker.store.owners.staging import COPY

Touched = Mapping[str, Sequence[str] | str]


def shared_impact(
    connection: Connection, touched: Touched, *, live: State, target: State, registry: Registry
) -> list[dict[str, Any]]:
    """`{id, path, components}` of each live toolset, other than the one that is rolled back and its staged copy, that
    a change of these items would reach, by path. `touched` are keys by component, each as a list or a PostgreSQL array.

    Each component says whom it reaches; one that does not say reaches every toolset of its project or organization.
    """
    shared = [one for one in registry if one.name in touched and one.scope != "toolset"]
    apart = [one for one in shared if one in registry.plug_ins and isinstance(one, HasReach)]
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    # One statement: all that is said of another toolset is true of the same moment. What a plug-in says for itself is
    # asked alone, to know whose it is if it is broken.
    for row in _reached(connection, [one for one in shared if one not in apart], touched, live, target):
        found[row.path, str(row.id)].add(row.component)
    for plug_in in apart:
        with working_for(plug_in):
            for row in _reached(connection, [plug_in], touched, live, target):
                found[row.path, str(row.id)].add(row.component)
    return [
        {"id": toolset_id, "path": path, "components": sorted(names)}
        for (path, toolset_id), names in sorted(found.items())
    ]


def reach(affected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whom a change reaches, in words."""
    return [f"changes what {one['path']} serves: {', '.join(one['components'])}" for one in affected]


def _reached(
    connection: Connection, components: Iterable[Component], touched: Touched, live: State, target: State
) -> Iterable[Any]:
    """Rows of `component, id, path`."""
    queries = [
        (component.name, query)
        for component in components
        for query in reach_of(component, live[component.name], target[component.name])
    ]
    if not queries:
        return ()
    reached = " UNION ALL ".join(
        f"SELECT '{component}' AS component, id FROM ({with_touched(query, f'touched_{place}')}) AS reached"
        for place, (component, query) in enumerate(queries)
    )
    given = {f"touched_{place}": touched[component] for place, (component, _) in enumerate(queries)}
    statement = f"""
        WITH {LISTED}, reached AS MATERIALIZED ({reached})
        SELECT reached.component, t.id, {PATH}
        FROM reached JOIN ({OWNED}) ON t.id = reached.id
        WHERE {LIVE} AND t.id <> :toolset_id AND ({COPY}) IS NOT TRUE
    """
    return live.over(target).query(connection, statement, **given)
