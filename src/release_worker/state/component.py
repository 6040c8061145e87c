"""What a release captures is a list of components; this is what each of them must be able to do.

A component's **content** is one JSON value that holds its state by value: no row ids, no times. It is spoken of as a
SQL expression of type `jsonb`, so that capturing is `INSERT … SELECT` and restoring is set difference, and bulk
content stays inside PostgreSQL. NULL means that there is no content (no active deployment, no variations); the JSON
value `null` is no content of its own. Expressions may use the parameters `:toolset_id`, `:project_id` and
`:organization_id`, and the one named in the content handed in.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Connection

from release_worker.domain.subject import Scope

Parameters = Mapping[str, Any]


class Component(Protocol):
    """One part of the state that a release holds. The seven built in are in this package; others come as plug-ins."""

    @property
    def name(self) -> str:
        """The key of this component in `components` and `changes`: lower-case words joined by `_`."""

    @property
    def scope(self) -> Scope:
        """Who owns the state: the toolset, its project or its organization."""

    def capture(self) -> str:
        """SQL: a scalar expression of the live content. A function in it that reads tables must be STABLE: a VOLATILE
        function, PostgreSQL's default, would see a later moment than the rest of the release."""

    def diff(self, before: str, after: str) -> str:
        """SQL: a query of `key text, old jsonb, new jsonb, in_old bool, in_new bool`, a row for each item of content
        `before` that differs in content `after`. Items are equal as `jsonb` values, numbers by their exact value."""

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        """Make live state equal to content `target`: remove what it lacks, change what differs, add what it has, and
        touch nothing else. Never commits. `parameters` are those of `target` and of the toolset. The rows of the
        component's owner and those of `live_rows` are held."""


@runtime_checkable
class HasLiveRows(Protocol):
    """A component whose rows can be held, so that no edit by an app that holds nothing is overwritten unseen."""

    def live_rows(self) -> Sequence[str]:
        """SQL: queries of all rows that live content is read from, ready for `FOR UPDATE`, such as
        `SELECT FROM toolset_tools WHERE toolset_id = :toolset_id`; also of rows that could become live content by an
        update that no foreign key to the component's owner holds off. The owner's own row need not be among them."""


@runtime_checkable
class HasReach(Protocol):
    """A component of a project or an organization that knows which toolsets would serve something else after a change.
    Without this, a change of it is taken to reach every toolset of that project or organization."""

    def reach(self, live: str, target: str) -> Sequence[str]:
        """SQL: queries of `id`, toolsets that would serve something else if content `live` became `target`; what the
        toolset that is rolled back serves is no matter. `CAST(:touched AS text[])` are the keys of the items that
        `diff` finds. A query may also read `listed_tools` and `listed_resources`, both of `toolset_id, urn`: what all
        toolsets list."""


@runtime_checkable
class HasForms(Protocol):
    """A component whose content has not always looked as it does today. Older releases stay verifiable, comparable and
    restorable: what they hold is digested as it was written, and lifted to today's form before anything else."""

    @property
    def form(self) -> int:
        """The number of today's form; 1 is that of a component which never said."""

    def lift(self, content: str, form: int) -> str:
        """SQL: the content of form `form + 1` for a `content` of form `form`."""


def keyed_diff(items_before: str, items_after: str) -> str:
    """SQL: the `diff` of two queries of `key text, item jsonb`."""
    return f"""
        SELECT key, before.item AS old, after.item AS new,
               before.key IS NOT NULL AS in_old, after.key IS NOT NULL AS in_new
        FROM ({items_before}) AS before FULL JOIN ({items_after}) AS after USING (key)
        WHERE before.item IS DISTINCT FROM after.item OR (before.key IS NULL) <> (after.key IS NULL)
    """


def members(content: str, *path: str) -> str:
    """SQL: a query of `key, item`, the members of the object at `path` in `content`; none if there is no such
    object.

    With a path, keys are prefixed with it: `tools/…`.
    """
    at = "".join(f" -> '{step}'" for step in path)
    prefix = "".join(f"{step}/" for step in path)
    return f"SELECT '{prefix}' || key AS key, value AS item FROM jsonb_each(({content}){at})"


def once(content: str, items: Callable[[str], str]) -> str:
    """SQL: the query `items` of a content that it mentions more than once, which is then evaluated only once."""
    return (
        f"SELECT key, item FROM (SELECT {content} AS content OFFSET 0) AS given, LATERAL ({items('content')}) AS items"
    )
