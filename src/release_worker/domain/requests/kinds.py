"""All kinds of request, and how a request is read and described. What others need of a kind is derived from here."""

from collections.abc import Mapping, Sequence
from textwrap import fill, indent
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from release_worker.domain.requests.apply_plan import ApplyPlan
from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.requests.diff import Diff
from release_worker.domain.requests.discard import Discard
from release_worker.domain.requests.import_bundle import ImportBundle
from release_worker.domain.requests.mark import Mark
from release_worker.domain.requests.pin import Pin
from release_worker.domain.requests.prune import Prune
from release_worker.domain.requests.publish import Publish
from release_worker.domain.requests.repair import Repair
from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.requests.set_mode import SetMode
from release_worker.domain.requests.stage import Stage
from release_worker.domain.requests.status import Status
from release_worker.domain.requests.verify import Verify
from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest

M = TypeVar("M", bound=BaseModel)

KINDS: Mapping[str, type[Request]] = {
    kind.kind: kind
    for kind in (
        CreateRelease, Rollback, ApplyPlan, Repair, CheckDrift, Diff, Pin, Prune, Mark, Status, Verify,
        Stage, Publish, Discard, SetMode, ImportBundle,
    )
}  # fmt: skip


# Fields of any kind that hold the number of a release.
RELEASE_FIELDS = sorted({name for kind in KINDS.values() for name in kind.names_releases})


def parse_request(kind: str, positional: Sequence[Any], keywords: Mapping[str, Any]) -> Request:
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


def validate_request(kind: str, fields: Mapping[str, Any]) -> Request:
    """The request of this kind with these fields. Raises InvalidRequest, listing every problem."""
    return validated(_kind(kind), fields)


def validated(model: type[M], fields: Mapping[str, Any]) -> M:
    """The value of this model with these fields. Raises InvalidRequest, listing every problem."""
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


def _parameter(model: type[Request], name: str) -> str:
    field = model.model_fields[name]
    return name if field.is_required() else f"{name}={field.default!r}".replace("'", '"')


def _kind(kind: str) -> type[Request]:
    if kind not in KINDS:
        raise InvalidRequest(
            f"there is no kind of request {printable(kind, 100)!r}", problems=[_problem("kind", "unknown")]
        )
    return KINDS[kind]


def _problem(field: str, problem: str) -> dict[str, str]:
    return {"field": printable(field, 200), "problem": printable(problem, 500)}
