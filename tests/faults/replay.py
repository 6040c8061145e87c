"""The commits, gone through once more in their order. If every app held the rows of what it edited, it is known what
was there at each moment, who wrote it, and which of it each release and each rollback has read; and all of them must be
explained by some order, one after the other."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from tests.faults.estate import Place
from tests.faults.evidence import Evidence
from tests.faults.held_edits import OWNER, SCOPES
from tests.faults.plan import COMPONENTS
from tests.support.exact_json import exact
from tests.support.live_state import LiveState

# torn: a content that nobody wrote, a mixture of several. unexplained: whole, but not what was there at that moment, or
# read and written in a circle, which no order can bring about.
Fault = Literal["torn", "unexplained"]
Complaint = tuple[Fault, str]
Pair = tuple[UUID, str]  # an owner and a component of its state, or a toolset and CURRENT
CURRENT = "current release"
LISTS = ("tools", "resources")


@dataclass(frozen=True, slots=True)
class Version:
    """A content from the transaction on that wrote it."""

    transaction: int
    content: Any


@dataclass
class Replay:
    """Live state and current releases over time, as the notes explain them; `reads` says which transaction saw which
    version of what."""

    evidence: Evidence
    places: Sequence[Place]
    versions: dict[Pair, list[Version]] = field(default_factory=lambda: defaultdict(list))
    reads: list[tuple[int, Pair, int]] = field(default_factory=list)
    written: dict[Pair, set[str]] = field(default_factory=lambda: defaultdict(set))
    claims: dict[str, Row[Any]] = field(default_factory=dict)  # the last one by request
    staged: dict[UUID, LiveState] = field(default_factory=dict)  # what the copy of a toolset holds: no app edits it
    loose: set[Pair] = field(default_factory=set)  # what an app edited without holding it: not judged

    def __post_init__(self) -> None:
        self._place = {place.id: place for place in self.places}
        self._skipping = {
            row.id
            for row in self.evidence.requests
            if (asked := self.evidence.rollback_of(row)) is not None and asked["on_missing"] != "fail"
        }
        self._restored = {  # noted after their rollbacks
            entry.what["request_id"]: UUID(entry.what["id"])
            for entry in self.evidence.log
            if entry.kind == "release" and entry.what["kind"] == "restored"
        }
        for entry in self.evidence.log:
            if entry.kind == "edit" and not entry.what["held"]:
                self.loose |= {self.pair(entry.toolset_id, name) for name in entry.what["wrote"]}

    def run(self) -> Iterator[Complaint]:
        """What the product saw or left behind that the order does not explain."""
        for entry in self.evidence.log:
            match entry.kind:
                case "claim":
                    self.claims[entry.what["id"]] = entry
                case "edit":
                    yield from self._edit(entry)
                case "release":
                    yield from self._release(entry)
                case "rollback":
                    yield from self._rollback(entry)
                case "answer":
                    self._copied(entry)
        for place in self.places:
            for component, found in self.evidence.live[place.id].items():
                pair = self.pair(place.id, component)
                if pair not in self.loose and found != self.versions[pair][-1].content:
                    yield self._complaint(pair, found, f"live state of {place.path}")
        yield from _circle(self)

    def pair(self, toolset_id: UUID, component: str) -> Pair:
        return self._place[toolset_id].owners[OWNER[component]], component

    def organization(self, toolset_id: UUID) -> UUID:
        return self._place[toolset_id].organization_id

    def is_judged(self, toolset_id: UUID, components: Sequence[str] = COMPONENTS) -> bool:
        """Whether all apps that edited these held them."""
        return not any(self.pair(toolset_id, name) in self.loose for name in components)

    def _edit(self, entry: Row[Any]) -> Iterator[Complaint]:
        """An app that held the rows has read what was there, too."""
        for component, found in entry.what["found"].items():
            if self.versions[self.pair(entry.toolset_id, component)]:
                yield from self._read(entry, component, found, f"an app of {self._place[entry.toolset_id].path}")
        for component, content in entry.what["wrote"].items():
            self._write(entry, component, content)

    def _write(self, entry: Row[Any], component: str, content: Any) -> None:
        pair = self.pair(entry.toolset_id, component)
        self.versions[pair].append(Version(entry.transaction, content))
        self.written[pair].add(exact(content))

    def _read(
        self, entry: Row[Any], component: str, found: Any, name: str, *, since: Row[Any] | None = None
    ) -> Iterator[Complaint]:
        """What was found is there now, or was there in the transaction's snapshot, or at some moment since another
        note. What is wrong is taken for granted afterwards, so as to be told once."""
        pair = self.pair(entry.toolset_id, component)
        versions = self.versions[pair]
        if pair in self.loose:
            return
        oldest = _place_seen(versions, since or entry)
        places = [place for place in range(oldest, len(versions)) if versions[place].content == found]
        if len(places) == 1:  # of equal versions, nobody can tell which was read
            self.reads.append((entry.transaction, pair, places[0]))
        if places:
            return
        yield self._complaint(pair, found, name)
        self._write(entry, component, found)

    def _complaint(self, pair: Pair, found: Any, name: str) -> Complaint:
        if exact(found) not in self.written[pair]:
            return "torn", f"{name}: nobody wrote these {pair[1]}: {exact(found)}"
        return "unexplained", f"{name}: these {pair[1]} are not those of that moment: {exact(found)}"

    def _release(self, entry: Row[Any]) -> Iterator[Complaint]:
        """Holds what was there; for a release, when its capture began. That holds no project and no organization, and
        has read all of it, as one statement, before the note was written."""
        release_id, kind = UUID(entry.what["id"]), entry.what["kind"]
        if kind == "restored":
            return  # an outcome: judged with its rollback
        if kind == "release":
            self._point(entry, release_id)
        published = self._published(entry.what["request_id"]) if kind == "release" else ()
        for component in published:
            yield from self._overwritten(entry, component)
        since = self.claims.get(entry.what["request_id"]) if kind == "release" else None
        name = f"{kind} {entry.what['release_number']} of {self._place[entry.toolset_id].path}"
        for component, found in self.evidence.held.get(release_id, {}).items():
            yield from self._read(entry, component, found, name, since=since)

    def _published(self, request_id: str) -> Collection[str]:
        """The components that a publication has written."""
        request = self.evidence.request_by_id.get(request_id)
        return request.result["changes"] if request is not None and request.kind == "publish" and request.result else ()

    def _overwritten(self, entry: Row[Any], component: str) -> Iterator[Complaint]:
        """By what was staged; the release itself is compared with that next."""
        if entry.toolset_id in self.staged:
            self._write(entry, component, self.staged[entry.toolset_id][component])
        else:
            yield "unexplained", f"a publication of {self._place[entry.toolset_id].path}, and nothing was staged"

    def _copied(self, entry: Row[Any]) -> None:
        """Copies come and go. A publication whose outcome the current release holds already makes no release."""
        toolset_id, result = entry.toolset_id, entry.what["result"]
        match entry.what["kind"]:
            case "stage" if result["created"]:
                pairs = {name: self.pair(toolset_id, name) for name in SCOPES["toolset"]}
                self.staged[toolset_id] = {name: self.versions[pair][-1].content for name, pair in pairs.items()}
            case "publish":
                if not result["created"] and toolset_id in self.staged:
                    for component in result["changes"]:
                        self._write(entry, component, self.staged[toolset_id][component])
                if result["discarded"]:
                    self.staged.pop(toolset_id, None)
            case "discard":
                self.staged.pop(toolset_id, None)

    def _rollback(self, entry: Row[Any]) -> Iterator[Complaint]:
        """What was chosen is the target's, all else is as before; and what is now is what the current release holds."""
        target_id = UUID(entry.what["to_release_id"])
        outcome_id = self._restored.get(entry.what["request_id"], target_id)
        self._point(entry, outcome_id)
        target, outcome = self.evidence.held.get(target_id), self.evidence.held.get(outcome_id)
        name = f"rollback {entry.what['id']} of {self._place[entry.toolset_id].path}"
        for component in COMPONENTS:
            pair = self.pair(entry.toolset_id, component)
            if target is None or outcome is None:
                self.loose.add(pair)  # nobody can tell any more
            elif component in entry.what["components"] and not self._is_restored(entry, component, target, outcome):
                yield "unexplained", f"{name}: these {component} are not the target's: {exact(outcome[component])}"
            elif component in entry.what["changes"]:
                self._write(entry, component, outcome[component])
            else:
                yield from self._read(entry, component, outcome[component], name)

    def _is_restored(self, entry: Row[Any], component: str, target: LiveState, outcome: LiveState) -> bool:
        """All of it, or what is left of a list when some of it is skipped."""
        found, wanted = outcome[component], target[component]
        skips = component in LISTS and entry.what["request_id"] in self._skipping
        return found == wanted or (skips and found.items() <= wanted.items())

    def _point(self, entry: Row[Any], release_id: UUID) -> None:
        self.versions[entry.toolset_id, CURRENT].append(Version(entry.transaction, release_id))


def _circle(replay: Replay) -> Iterator[Complaint]:
    """Who wrote a version comes before those who read it and before who wrote the next; those who read it, before who
    wrote the next. If that leads in a circle, no order explains what happened."""
    before: dict[int, set[int]] = defaultdict(set)
    pairs = [(pair, versions) for pair, versions in replay.versions.items() if pair not in replay.loose]
    for _, versions in pairs:
        for one, following in pairwise(versions):
            before[following.transaction].add(one.transaction)
    for reader, pair, place in replay.reads:
        versions = replay.versions[pair]
        if pair not in replay.loose:
            before[reader].add(versions[place].transaction)
        if pair not in replay.loose and place + 1 < len(versions):
            before[versions[place + 1].transaction].add(reader)
    for transaction, earlier in before.items():
        earlier.discard(transaction)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        notes = defaultdict(list)
        for entry in replay.evidence.log:
            notes[entry.transaction].append(f"{entry.kind} {entry.what.get('id', '')}".strip())
        circle = " before ".join(" and ".join(notes[one]) for one in error.args[1])
        yield "unexplained", f"there is no order of these: {circle}"


def unexplained(replay: Replay) -> list[Complaint]:
    """All that the order of the commits does not explain."""
    return [*replay.run(), *_wrong_readings(replay)]


def _wrong_readings(replay: Replay) -> Iterator[Complaint]:
    """What a request that only reads was answered is so of the state that its transaction saw."""
    requests = replay.evidence.request_by_id
    for entry in replay.evidence.log:
        request = requests.get(entry.what["id"]) if entry.kind == "answer" else None
        if request is None or not replay.is_judged(request.toolset_id):
            continue
        if request.kind == "check_drift" or (request.kind == "rollback" and request.payload["dry_run"]):
            problem = _wrong_reading(replay, entry, request)
            if problem:
                yield "unexplained", f"{request.kind} {request.id} answered {problem}"


def _wrong_reading(replay: Replay, entry: Row[Any], request: Row[Any]) -> str | None:
    said, toolset_id = request.result, request.toolset_id
    is_rollback = request.kind == "rollback"
    numbers = {row.id: row.release_number for row in replay.evidence.every_release if row.toolset_id == toolset_id}
    current = _seen(replay.versions[toolset_id, CURRENT], entry)
    named = said["from_release_number" if is_rollback else "current_release_number"]
    if numbers.get(current) != named:
        return f"that {named} is current, but {numbers.get(current)} was"
    compared = said["to_release_number"] if is_rollback else named
    held = next((replay.evidence.held.get(one) for one, number in numbers.items() if number == compared), None)
    if held is None:
        return None  # pruned since
    differing = {
        name
        for name in (said["components"] if is_rollback else COMPONENTS)
        if _seen(replay.versions[replay.pair(toolset_id, name)], entry) != held[name]
    }
    if differing != set(said["changes"]):
        return f"changes in {sorted(said['changes'])}, but there were some in {sorted(differing)}"
    return None


def _seen(versions: Sequence[Version], entry: Row[Any]) -> Any:
    return versions[_place_seen(versions, entry)].content if versions else None


def _place_seen(versions: Sequence[Version], entry: Row[Any]) -> int:
    """The place of the newest version in the snapshot of this note; of the first one, if it sees none."""
    seen = [place for place, one in enumerate(versions) if is_visible(one.transaction, entry)]
    return seen[-1] if seen else 0


def is_visible(transaction: int, entry: Row[Any]) -> bool:
    """Whether it had been committed when the snapshot of this note was taken; of the note's own, this does not say."""
    return transaction < entry.xmax and transaction not in entry.xip
