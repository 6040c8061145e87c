"""All kinds of request, and how a request is read and described. What others need of a kind is derived from here."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from textwrap import fill, indent
from typing import TYPE_CHECKING, Any, TypeVar

from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from release_worker.domain.requests.request import Request

M = TypeVar("M", bound="BaseModel")


class Kinds(Mapping[str, "type[Request]"]):
    """The class of each kind, imported from the file of that name when it is first looked up: a caller loads what it
    asks for, and an app that only imports the client loads no pydantic."""

    def __init__(self, *names: str) -> None:
        self._names = dict.fromkeys(names)
        self._found: dict[str, type[Request]] = {}

    def __getitem__(self, kind: str) -> "type[Request]":
        if kind not in self._found:
            if kind not in self._names:
                raise KeyError(kind)
            class_name = "".join(word.capitalize() for word in kind.split("_"))
            self._found[kind] = getattr(import_module(f"release_worker.domain.requests.{kind}"), class_name)
        return self._found[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


KINDS = Kinds(
    "create_release", "rollback", "apply_plan", "repair", "check_drift", "diff", "pin", "prune", "mark", "status",
    "verify", "stage", "publish", "discard", "set_mode", "import_bundle",
)  # fmt: skip


@cache
def release_fields() -> Sequence[str]:
    """The fields of any kind that hold the number of a release."""
    return sorted({name for kind in KINDS.values() for name in kind.names_releases})


def parse_request(kind: str, positional: Sequence[Any], keywords: Mapping[str, Any]) -> "Request":
    """The request that a task was called with. Raises InvalidRequest, listing every problem."""
    names = _kind(kind).positional
    if len(positional) > len(names):
        raise InvalidRequest(
            problems=[_problem("arguments", f"at most {len(names)} positional, got {len(positional)}")]
        )
    arguments = dict(zip(names, positional, strict=False))
    if twice := sorted(arguments.keys() & keywords.keys()):
        raise InvalidRequest(problems=[_problem(name, "given twice") for name in twice])
    return validate_request(kind, {**arguments, **keywords})


def validate_request(kind: str, fields: Mapping[str, Any]) -> "Request":
    """The request of this kind with these fields. Raises InvalidRequest, listing every problem."""
    return validated(_kind(kind), fields)


def validated(model: type[M], fields: Mapping[str, Any]) -> M:
    """The value of this model with these fields. Raises InvalidRequest, listing every problem."""
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        problems = [
            _problem(".".join(str(part) for part in one["loc"]) or "request", one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    except (RecursionError, UnicodeEncodeError) as error:
        problems = [_problem("request", f"cannot be read: {type(error).__name__}")]
    summary = "; ".join(f"{one['field']}: {one['problem']}" for one in problems[:5])
    raise InvalidRequest(f"the request is not valid: {summary}", problems=problems[:50])


def describe_kind(kind: str) -> str:
    """What a kind's task says of itself: what it does, how it is called, and what it returns."""
    model = KINDS[kind]
    does, _, more = (model.__doc__ or "").partition("\n\n")
    parameters = ", ".join(_parameter(model, name) for name in model.positional)
    call = fill(f"{kind}({parameters})", 112, subsequent_indent=" " * (len(kind) + 1), break_long_words=False)
    returned = fill(f"Returns `{{{', '.join(model.result.names().values())}}}`.", 116, break_on_hyphens=False)
    return "\n\n".join(part for part in (does, indent(call, "    "), returned, *_paragraphs(more)) if part) + "\n"


def _paragraphs(text: str) -> list[str]:
    return [fill(" ".join(paragraph.split()), 116) for paragraph in text.split("\n\n") if paragraph.strip()]


def _parameter(model: "type[Request]", name: str) -> str:
    field = model.model_fields[name]
    return name if field.is_required() else f"{name}={field.default!r}".replace("'", '"')


def _kind(kind: str) -> "type[Request]":
    if kind not in KINDS:
        raise InvalidRequest(
            f"there is no kind of request {printable(kind, 100)!r}", problems=[_problem("kind", "unknown")]
        )
    return KINDS[kind]


def _problem(field: str, problem: str) -> dict[str, str]:
    return {"field": printable(field, 200), "problem": printable(problem, 500)}
