"""The requests that tasks take and the results that they give.

A request is checked here once, wherever it comes from: the client before it is sent, the worker when it arrives.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from release_worker.domain import canonical_json
from release_worker.domain.canonical_json import DEEPEST, too_deep
from release_worker.domain.changes import ComponentChanges
from release_worker.errors import InvalidRequest

LONGEST_TEXT = 10_000
LARGEST_LABELS = 16_384
LARGEST_BIGINT = 2**63 - 1

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_PATH = re.compile(r"[^\s/]+/[^\s/]+/[^\s/]+")


def _encodable(text: str) -> str:
    text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return text


def _single_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return _encodable(text)


def _several_lines(text: str) -> str:
    if _CONTROL_BUT_LAYOUT.search(text):
        raise ValueError("must not contain control characters other than tab and line breaks")
    return _encodable(text)


def _toolset_reference(text: str) -> str:
    if _PATH.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID or organization/project/toolset") from None


def _storable_labels(labels: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if too_deep(labels):
        raise ValueError(f"must not be nested more than {DEEPEST} levels deep")
    text = json.dumps(labels, allow_nan=False, ensure_ascii=False)
    if len(text.encode()) > LARGEST_LABELS:
        raise ValueError(f"must be at most {LARGEST_LABELS} bytes of JSON")
    if _ESCAPED_NUL.search(text):
        raise ValueError("must not contain the character U+0000")
    return labels


def _none_if_empty(labels: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    return labels or None


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must not name a component twice")
    return names


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_single_line)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_several_lines)]
Toolset = Annotated[
    str, StringConstraints(max_length=600), AfterValidator(_single_line), AfterValidator(_toolset_reference)
]
Labels = Annotated[dict[str, JsonValue], AfterValidator(_storable_labels)]
ReleaseNumber = Annotated[int, Field(ge=1, le=LARGEST_BIGINT)]
# 0 means: the toolset has no current release.
ExpectedRelease = Annotated[int, Field(ge=0, le=LARGEST_BIGINT)]
Components = Annotated[tuple[Name, ...], Field(min_length=1, max_length=100, strict=False), AfterValidator(_distinct)]
Kind = Literal["create_release", "rollback", "check_drift", "pin", "prune"]


class Request(BaseModel):
    """What every task takes. Unknown fields and wrong types are refused, never converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[Kind]

    toolset: Toolset
    actor: Name
    # The slug or id of the caller's organization: a toolset of another is as good as not there.
    organization: Name | None = None
    idempotency_key: Name | None = None

    def payload(self) -> dict[str, Any]:
        """What the ledger stores."""
        return self.model_dump(mode="json", exclude={"idempotency_key"})

    def asks_the_same(self, other: "Request") -> bool:
        """Whether both ask for the same of a toolset, however each of them names it."""
        return not self.differing(other)

    def differing(self, other: "Request") -> list[str]:
        """The names of the fields in which they ask for different things, however each of them names its toolset;
        `kind` alone if they are of two kinds."""
        if self.kind != other.kind:
            return ["kind"]
        naming = {"toolset", "organization", "idempotency_key"}
        ours, theirs = (one.model_dump(mode="json", exclude=naming) for one in (self, other))
        return [name for name in ours if canonical_json.dumps(ours[name]) != canonical_json.dumps(theirs[name])]

    def names_the_same(self, other: "Request") -> bool:
        """Whether both name their toolset in the same words."""
        return (self.toolset, self.organization) == (other.toolset, other.organization)


class CreateRelease(Request):
    kind = "create_release"

    notes: Text | None = None
    labels: Annotated[Labels | None, AfterValidator(_none_if_empty)] = None
    only_if_changed: bool = False
    expected_current_release: ExpectedRelease | None = None


class Rollback(Request):
    kind = "rollback"

    release_number: ReleaseNumber
    reason: Text | None = None
    components: Components | None = None
    on_missing: Literal["fail", "skip", "recreate"] = "fail"
    allow_shared_impact: bool = False
    expected_current_release: ExpectedRelease | None = None
    dry_run: bool = False


class CheckDrift(Request):
    kind = "check_drift"

    actor: Name = "check_drift"


class Pin(Request):
    """Keep a release from being pruned, or (`pinned` false) no longer."""

    kind = "pin"

    release_number: ReleaseNumber
    pinned: bool = True


class Prune(Request):
    """Remove old releases, but for the newest `keep` and those that something still needs."""

    kind = "prune"

    keep: Annotated[int, Field(ge=1, le=1_000_000)]


AnyRequest = CreateRelease | Rollback | CheckDrift | Pin | Prune
REQUESTS: Mapping[str, type[AnyRequest]] = {
    request.kind: request for request in (CreateRelease, Rollback, CheckDrift, Pin, Prune)
}


class Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    toolset_id: UUID


class CreateReleaseResult(Result):
    release_id: UUID
    release_number: int
    toolset_version: int
    digest: str
    created: bool


class RollbackResult(Result):
    rollback_id: UUID | None
    from_release_number: int | None
    to_release_number: int
    current_release_number: int | None
    backup_release_number: int | None
    components: tuple[str, ...]
    changes: dict[str, ComponentChanges]
    warnings: tuple[str, ...]
    noop: bool
    dry_run: bool


class CheckDriftResult(Result):
    drifted: bool
    current_release_number: int | None
    changes: dict[str, ComponentChanges]


class PinResult(Result):
    release_number: int
    pinned: bool


class PruneResult(Result):
    pruned: tuple[int, ...]
    kept: int


AnyResult = CreateReleaseResult | RollbackResult | CheckDriftResult | PinResult | PruneResult
RESULTS: Mapping[str, type[AnyResult]] = {
    "create_release": CreateReleaseResult,
    "rollback": RollbackResult,
    "check_drift": CheckDriftResult,
    "pin": PinResult,
    "prune": PruneResult,
}

# The order in which a task's positional arguments are read: that of the public signatures.
_POSITIONAL: Mapping[str, Sequence[str]] = {
    "create_release": (
        "toolset", "actor", "notes", "labels", "only_if_changed", "expected_current_release", "idempotency_key",
    ),
    "rollback": (
        "toolset", "release_number", "actor", "reason", "components", "on_missing", "allow_shared_impact",
        "expected_current_release", "dry_run", "idempotency_key",
    ),
    "check_drift": ("toolset",),
    "pin": ("toolset", "release_number", "actor", "pinned"),
    "prune": ("toolset", "keep", "actor"),
}  # fmt: skip


def parse_request(kind: str, positional: Sequence[Any], keywords: Mapping[str, Any]) -> AnyRequest:
    """The request that a task was called with. Raises InvalidRequest, listing every problem."""
    names = _POSITIONAL[kind]
    if len(positional) > len(names):
        raise InvalidRequest(
            problems=[_problem("arguments", f"at most {len(names)} positional, got {len(positional)}")]
        )
    arguments = dict(zip(names, positional, strict=False))
    if twice := sorted(arguments.keys() & keywords.keys()):
        raise InvalidRequest(problems=[_problem(name, "given twice") for name in twice])
    return validate_request(kind, {**arguments, **keywords})


def validate_request(kind: str, fields: Mapping[str, Any]) -> AnyRequest:
    """The request of this kind with these fields. Raises InvalidRequest, listing every problem."""
    if kind not in REQUESTS:
        raise InvalidRequest(
            f"there is no kind of request {printable(kind, 100)!r}", problems=[_problem("kind", "unknown")]
        )
    try:
        return REQUESTS[kind].model_validate(dict(fields))
    except ValidationError as error:
        problems = [
            _problem(".".join(str(part) for part in one["loc"]) or "request", one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    except (RecursionError, UnicodeEncodeError) as error:
        problems = [_problem("request", f"cannot be read: {type(error).__name__}")]
    summary = "; ".join(f"{one['field']}: {one['problem']}" for one in problems[:5])
    raise InvalidRequest(f"the request is not valid: {summary}", problems=problems[:50])


def check_component_names(names: Sequence[str] | None, known: Sequence[str]) -> None:
    """Raises InvalidRequest for a component that no one provides."""
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InvalidRequest(
            f"unknown components: {', '.join(unknown)}; known: {', '.join(known)}",
            problems=[_problem("components", f"unknown component {name}") for name in unknown],
        )


def _problem(field: str, problem: str) -> dict[str, str]:
    return {"field": printable(field, 200), "problem": printable(problem, 500)}


def printable(text: str, longest: int) -> str:
    """`text` shortened and with what PostgreSQL or a terminal could not take shown as an escape."""
    shown = text[:longest].encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", shown)
