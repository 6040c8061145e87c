"""What a schedule may ask for, and the request that it makes of it."""

from collections.abc import Mapping
from typing import Any

from release_worker.domain.canonical_json import as_plain
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.requests.request import Request
from release_worker.domain.subject import ALL_SCOPES, Scope
from release_worker.errors import InvalidRequest

_TOOLSET_ONLY: frozenset[Scope] = frozenset(("toolset",))
# Kinds that mean the same each time and need nobody's answer, and the scopes in which they make sense. A release number
# and a staged copy are those of one toolset. What judges or names a release (mark, pin), takes a plan or a bundle that
# ages (apply_plan, import_bundle), begins or ends somebody's edits (stage, discard, set_mode), or answers who asks
# (diff, status) is a person's step.
SCHEDULED: Mapping[str, frozenset[Scope]] = {
    "create_release": ALL_SCOPES,
    "check_drift": ALL_SCOPES,
    "repair": ALL_SCOPES,
    "prune": ALL_SCOPES,
    "verify": ALL_SCOPES,
    "publish": _TOOLSET_ONLY,
    "rollback": _TOOLSET_ONLY,
}
# What the schedule says itself, and what nobody can mean in advance.
_NOT_GIVEN = ("toolset", "actor", "organization", "idempotency_key", "dry_run", "override_freeze")
_ANY_TOOLSET = "00000000-0000-0000-0000-000000000000"


def full_arguments(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with what a schedule means otherwise than a request: nothing is released if nothing has changed."""
    return {"only_if_changed": True, **arguments} if kind == "create_release" else dict(arguments)


def scheduled_request(kind: str, arguments: Mapping[str, Any], scope: Scope, *, actor: str) -> Request:
    """The request that a schedule makes, for a toolset that is filled in. Raises InvalidRequest for what is no request,
    and for a kind that is not for schedules of this scope: anyone may write a row whom the grants allow to."""
    if kind not in KINDS or kind not in SCHEDULED:
        raise _invalid("kind", f"a schedule can ask for {', '.join(SCHEDULED)}")
    if scope not in SCHEDULED[kind]:
        raise _invalid("kind", f"{kind} is for a schedule of one toolset")
    if refused := [name for name in _NOT_GIVEN if name in arguments]:
        raise _invalid(refused[0], "is not for the arguments of a schedule")
    try:
        plain = as_plain(full_arguments(kind, arguments))
    except (ValueError, RecursionError):
        raise _invalid("arguments", "cannot be read") from None
    return validate_request(kind, {**plain, "toolset": _ANY_TOOLSET, "actor": actor})


def heeds_freezes(request: Request) -> bool:
    """Whether a freeze holds such a request off: it would change live state or the current release."""
    return "override_freeze" in type(request).model_fields


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", problems=[{"field": field, "problem": problem}])
