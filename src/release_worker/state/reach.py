"""Whom changes of components reach, as SQL."""

import re
from collections.abc import Iterator

from release_worker.state.component import Component, HasReach
from release_worker.state.membership import resources, tools
from release_worker.store.owners.relations import neighbours

# SQL: what `reach` may read, for the WITH of the statement that its queries stand in; planned as the tables themselves.
LISTED = f"listed_tools AS NOT MATERIALIZED ({tools.of_all}), listed_resources AS NOT MATERIALIZED ({resources.of_all})"


def reach_of(component: Component, live: str, target: str) -> Iterator[str]:
    """SQL: queries of `id`, as `HasReach` has them; every toolset of its owner if the component does not say."""
    if isinstance(component, HasReach):
        yield from component.reach(live, target)
    else:
        yield neighbours(component.scope)


def with_touched(query: str, parameter: str) -> str:
    """SQL: the query, with its keys in another parameter than `touched`: several may stand in one statement."""
    return re.sub(r":touched\b", f":{parameter}", query)
