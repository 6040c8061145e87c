"""Plans that were applied: nothing had moved since; and plans that were refused as stale: something had."""

from collections.abc import Iterator
from typing import Any, Literal

from sqlalchemy import Row

from tests.faults.evidence import COPYING
from tests.faults.plan import COMPONENTS
from tests.faults.replay import CURRENT, Replay, is_visible

# unexplained: a stale plan that was applied. broken: a plan that was refused, and nothing had moved.
Complaint = tuple[Literal["unexplained", "broken"], str]


def plans(replay: Replay) -> Iterator[Complaint]:
    """All that was done with plans and should not have been. The replay must be over."""
    requests, log = replay.evidence.request_by_id, replay.evidence.log
    answers = {entry.what["id"]: entry for entry in log if entry.kind == "answer"}
    effects = {entry.what["request_id"]: entry for entry in log if entry.kind == "rollback"}
    for entry in log:
        request = requests.get(entry.what["id"]) if entry.kind in ("answer", "failure") else None
        if request is None or request.kind != "apply_plan":
            continue
        planned = answers[request.payload["plan_id"]]
        if request.status == "succeeded":
            for moved in _moved(replay, planned, effects.get(request.id, entry)):
                yield "unexplained", f"plan {planned.what['id']} was applied by {request.id}, but {moved} had moved"
        elif request.error["type"] == "StaleState":
            said = request.error["details"].get("moved") or ["nothing"]
            for name in said:
                if not _may_have_moved(replay, name, planned, entry):
                    yield "broken", f"plan {planned.what['id']} was refused, but {name} had not moved: {request.id}"


def _moved(replay: Replay, planned: Row[Any], applied: Row[Any]) -> Iterator[str]:
    """What was not there any more when the plan was applied."""
    pairs = {name: replay.pair(applied.toolset_id, name) for name in COMPONENTS}
    for name, pair in [*pairs.items(), ("the current release", (applied.toolset_id, CURRENT))]:
        if pair not in replay.loose and _before(replay, pair, planned) != _before(replay, pair, applied):
            yield name


def _before(replay: Replay, pair: Any, entry: Row[Any]) -> Any:
    """What was there before the transaction of this note."""
    seen = [
        one.content
        for one in replay.versions[pair]
        if one.transaction != entry.transaction and is_visible(one.transaction, entry)
    ]
    return seen[-1] if seen else None


def _may_have_moved(replay: Replay, name: str, planned: Row[Any], refused: Row[Any]) -> bool:
    """Between a plan and its refusal somebody wrote this component, or made a release current. What else a plan depends
    on, anything in its organization may have moved."""
    between = [
        entry for entry in replay.evidence.log if entry.seq < refused.seq and not is_visible(entry.transaction, planned)
    ]
    if name in COMPONENTS:
        pair = replay.pair(refused.toolset_id, name)
        return any(name in _written(entry) and replay.pair(entry.toolset_id, name) == pair for entry in between)
    if name == "the current release":
        return any(
            entry.kind in ("release", "rollback") and entry.toolset_id == refused.toolset_id for entry in between
        )
    if name == "nothing":
        return False
    return any(
        (entry.kind in ("edit", "release", "rollback", "mark") or _copied(entry))
        and replay.organization(entry.toolset_id) == replay.organization(refused.toolset_id)
        for entry in between
    )


def _written(entry: Row[Any]) -> Any:
    """The components that a transaction wrote."""
    if entry.kind == "answer":
        return entry.what["result"]["changes"] if entry.what["kind"] == "publish" else ()
    return {"edit": entry.what.get("wrote"), "rollback": entry.what.get("changes")}.get(entry.kind) or ()


def _copied(entry: Row[Any]) -> bool:
    """A toolset came or went."""
    return entry.kind == "answer" and entry.what["kind"] in COPYING
