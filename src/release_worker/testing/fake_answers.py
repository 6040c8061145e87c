"""What a fake client answers if the test says nothing else: what a worker would, if nothing stood in the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from release_worker.domain import canonical_json
from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import Destination, Rollback, no_release

Answer = dict[str, Any]


@dataclass
class _Toolset:
    id: UUID
    releases: int = 0
    current: int | None = None
    before: dict[int, int | None] = field(default_factory=dict)  # which release was current when a release was made
    left: int | None = None  # the release that the last rollback has left
    marks: dict[int, str] = field(default_factory=dict)
    mode: str = "iteration"

    def number_of(self, destination: Destination) -> int | None:
        """The release that a rollback goes to that names none; None if there is none."""
        if destination == "undo":
            return self.left
        number = self.current
        if destination == "current" or number is None:
            return number
        number = self.before.get(number)
        while destination == "last_good" and number is not None and self.marks.get(number) == "bad":
            number = self.before.get(number)
        return number


@dataclass
class FakeToolsets:
    """Toolsets by the names that they are asked for by, each with as much state as the answers need."""

    _by_name: dict[str, _Toolset] = field(default_factory=dict)

    def answer(self, request: Request, said: Mapping[str, Any]) -> Answer:
        """The result of a request of any kind, with the fields that the test has `said`. Raises ReleaseNotFound for a
        rollback to what is not there, unless the test has said what comes of it."""
        toolset = self._by_name.setdefault(request.toolset, _Toolset(_id_of(request.toolset)))
        if isinstance(request, Rollback) and request.to is not None:
            number = said.get("to_release_number", toolset.number_of(request.to))
            if number is None and not said:
                raise no_release(request.to, request.toolset)
            request = request.at(number or toolset.current or 1)
        return {"toolset_id": toolset.id, **_ANSWERS[request.kind](toolset, request), **said}


def _id_of(name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE_URL, name)


def _release(toolset: _Toolset, _request: Request) -> Answer:
    toolset.releases += 1
    toolset.before[toolset.releases] = toolset.current
    toolset.current = toolset.releases
    return {
        "release_id": uuid5(toolset.id, str(toolset.releases)),
        "release_number": toolset.releases,
        "toolset_version": toolset.releases,
        "digest": canonical_json.digest([str(toolset.id), toolset.releases]),
        "created": True,
    }


def _rollback(toolset: _Toolset, request: Request) -> Answer:
    asked = getattr(request, "release_number", None)
    before, dry_run = toolset.current, bool(getattr(request, "dry_run", False))
    target = asked or before or 1
    if not dry_run and before != target:
        toolset.current, toolset.left = target, before
    plan = {"plan_id": str(uuid5(toolset.id, "plan")), "missing": {"tools": (), "resources": ()}}
    return {
        "rollback_id": None if dry_run else uuid5(toolset.id, f"rollback to {target}"),
        "from_release_number": before,
        "to_release_number": target,
        "current_release_number": before if dry_run else target,
        "backup_release_number": None,
        "components": (),
        "changes": {},
        "warnings": (),
        "noop": before == target,
        "dry_run": dry_run,
        **(plan if dry_run else {}),
    }


def _status(toolset: _Toolset, request: Request) -> Answer:
    return {
        "path": request.toolset,
        "mode": toolset.mode,
        "current_release_number": toolset.current,
        "current": None,
        "last_good": None,
        "releases": toolset.releases,
        "drifted": False,
        "changes": {},
        "requests": {"queued": 0, "running": 0},
        "unfinished": (),
        "operations": (),
    }


def _set_mode(toolset: _Toolset, request: Request) -> Answer:
    toolset.mode = request.model_dump()["mode"]
    return {"mode": toolset.mode}


def _mark(toolset: _Toolset, request: Request) -> Answer:
    said = request.model_dump()
    toolset.marks[said["release_number"]] = said["mark"]
    return {"release_number": said["release_number"], "mark": said["mark"]}


def _given(*names: str) -> Callable[[_Toolset, Request], Answer]:
    """Fields that the answer has from the request."""
    return lambda _toolset, request: {name: getattr(request, name) for name in names}


def _copy_of(toolset: _Toolset) -> UUID:
    return uuid5(toolset.id, "staged copy")


_ANSWERS: Mapping[str, Callable[[_Toolset, Any], Answer]] = {
    "create_release": _release,
    "rollback": _rollback,
    "apply_plan": _rollback,
    "repair": _rollback,
    "check_drift": lambda toolset, _: {"drifted": False, "current_release_number": toolset.current, "changes": {}},
    "diff": lambda _, request: {
        "from": request.release_number, "to": request.to, "same": True, "changes": {}, "not_compared": (),
    },
    "pin": _given("release_number", "pinned"),
    "prune": lambda toolset, _: {"pruned": (), "kept": toolset.releases},
    "mark": _mark,
    "status": _status,
    "verify": lambda toolset, _: {"releases": toolset.releases, "parts": 0, "mismatches": (), "warnings": ()},
    "stage": lambda toolset, request: {
        "path": f"{request.toolset}-staged", "parent_toolset_id": toolset.id, "created": True,
        "toolset_id": _copy_of(toolset),
    },
    "publish": lambda toolset, request: {
        **_release(toolset, request), "backup_release_number": None, "staged_toolset_id": _copy_of(toolset),
        "discarded": toolset.mode == "iteration", "changes": {},
    },
    "discard": lambda toolset, request: {
        "discarded_toolset_id": _copy_of(toolset), "discarded_path": f"{request.toolset}-staged",
    },
    "set_mode": _set_mode,
    "import_bundle": lambda toolset, request: {
        **_release(toolset, request), "backup_release_number": None, "changes": {}, "warnings": (),
    },
}  # fmt: skip
