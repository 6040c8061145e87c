"""What each part of a release can say of itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from release_worker.domain.digests import StateDigests

NOTHING_WRITTEN = "CAST(NULL AS jsonb)"


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a part has been written. Forms are numbered from 1; a row says in which it was written.

    `contents`: SQL by component name, the content in a row of the part as it was written, and so as it was digested.
    `lifts`: SQL by component name, the content of the next form made from that of this one; a component that is not
    there means the same in both.
    """

    contents: Mapping[str, str]
    lifts: Mapping[str, Callable[[str], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Which rows of a table nothing needs any more. `ours`: SQL, the condition that a row is one that the releases of a
    toolset, its project or its organization may refer to; `unused`: that row `content` is not needed; `chained`: rows
    follow each other, and those that stay must be mended."""

    table: str
    ours: str
    unused: str
    chained: bool = False


class Part(Protocol):
    """Rows of one table that releases refer to."""

    @property
    def name(self) -> str:
        """The key of the part in the digest of a release."""

    @property
    def table(self) -> str:
        """The table of its rows, with columns `id`, `digest`, `form` and those of the contents."""

    @property
    def forms(self) -> tuple[Form, ...]:
        """All forms in which rows may have been written, the first first; today's is the last."""

    def source(self, role: str) -> str:
        """SQL: an item for FROM, with the one row that the release of this role refers to, or none. The parameters are
        `:<role>_release_id` and the like."""

    def digest(self, digests: StateDigests, form: Form) -> str | None:
        """The digest of a row of this form from those of its components' contents; None if there would be no row."""

    def digest_in_sql(self) -> str:
        """SQL: the same for today's form, from the columns of `digests`."""

    def steps(self) -> Iterator[str]:
        """SQL: steps of the capture statement, which write a row unless there is one to refer to already. They may use
        `live`, `digests`, `parts` and `wanted`, and are followed by `release`, which the steps of plug-ins may use."""


def content_today(part: Part, component: str, role: str) -> str:
    """SQL: the content of a component in the release of this role, in today's form, however it was written."""
    return _by_form(part, role, {form: _lifted(part.forms[form - 1 :], component) for form in _numbers(part)})


def content_as_written(part: Part, component: str, role: str) -> str:
    """SQL: the content of a component as it was written, and so as it was digested; NULL if that form has none."""
    return _by_form(part, role, {form: _content(part.forms[form - 1], component) for form in _numbers(part)})


def object_in_sql(members: Mapping[str, str]) -> str:
    """SQL: a JSON object with these members, SQL expressions by name. A function has at most a hundred arguments."""
    arguments = [f"'{name}', {value}" for name, value in members.items()]
    parts = (", ".join(arguments[start : start + 50]) for start in range(0, max(len(arguments), 1), 50))
    return f"({' || '.join(f'jsonb_build_object({part})' for part in parts)})"


def _numbers(part: Part) -> range:
    return range(1, len(part.forms) + 1)


def _content(form: Form, component: str) -> str:
    return form.contents.get(component, NOTHING_WRITTEN)


def _lifted(forms: tuple[Form, ...], component: str) -> str:
    """SQL: the content of the first of these forms, as one of the last."""
    return lifted(forms, component, _content(forms[0], component))


def lifted(forms: tuple[Form, ...], component: str, content: str) -> str:
    """SQL: a content of the first of these forms, as one of the last."""
    for form in forms[:-1]:
        content = form.lifts[component](content) if component in form.lifts else content
    return content


def _by_form(part: Part, role: str, contents: Mapping[int, str]) -> str:
    if len(set(contents.values())) == 1:
        return f"(SELECT {contents[1]} FROM {part.source(role)})"
    cases = " ".join(f"WHEN {form} THEN {content}" for form, content in contents.items())
    return f"(SELECT CASE part.form {cases} END FROM {part.source(role)})"
