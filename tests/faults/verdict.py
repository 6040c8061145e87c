"""Was anything lost, doubled or torn? Everything is judged from raw rows and from what the harness saw; nothing of the
product's code is used."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Row

from tests.faults.estate import Place
from tests.faults.evidence import ROLLBACKS, TORN, Evidence, GoneRelease
from tests.faults.journal import Journal, Submission
from tests.faults.marks import marks
from tests.faults.plan import Fault
from tests.faults.plans import plans
from tests.faults.refusals import TOLD, refusals
from tests.faults.replay import Replay, unexplained
from tests.faults.retention import retention
from tests.support.exact_json import digest

# Each must be empty: requests that were accepted and did not end; effects that nobody asked for, or that are there
# twice; numbers and chains that are not whole; content that is of no one moment; leases, locks and sessions left over;
# requests that failed for no reason of theirs, and processes that died by themselves; effects out of order; content and
# answers that were whole and are not those of their moment.
Bad = Literal["lost", "unasked", "doubled", "gaps", "torn", "hanging", "broken", "overtaken", "unexplained"]
BAD: tuple[Bad, ...] = get_args(Bad)
Findings = dict[Bad, list[str]]

# After which messages may be gone.
WIPING: tuple[Fault, ...] = ("flush broker", "restart broker without its data")
# kombu takes a message from its list before it notes that the message is not yet acknowledged (celery#4354). Whoever
# kills the worker in between, or cuts its connection, loses a message that has no row.
CUTTING: tuple[Fault, ...] = ("kill worker", "restart broker")
# What may be wrong with a request of the mix itself.
LEGITIMATE = TOLD | {"ReleaseNotFound", "RequestCancelled"}


# Which kinds of request make which kinds of release.
MAKERS = {"release": ("create_release", "publish"), "backup": (*ROLLBACKS, "publish"), "restored": ROLLBACKS}


def judge(evidence: Evidence, journal: Journal, places: Sequence[Place]) -> Findings:
    """Everything that is wrong."""
    findings: Findings = {
        "lost": [*_lost_requests(evidence, journal), *_lost_effects(evidence)],
        "unasked": list(_unasked(evidence, journal)),
        "doubled": list(_doubled(evidence)),
        "gaps": [*_gaps(evidence), *_broken_chains(evidence)],
        "torn": [*_wrong_digests(evidence), *_torn(evidence, {place.id for place in places if place.whole})],
        "hanging": [*_unfinished(evidence), *evidence.hanging],
        "broken": [*_broken(evidence), *journal.deaths, *journal.surprises],
        "overtaken": list(_overtaken(evidence, journal)),
        "unexplained": [],
    }
    replay = Replay(evidence, places)
    others = (
        *retention(evidence, journal),
        *marks(evidence),
        *refusals(evidence, journal),
        *unexplained(replay),
        *plans(replay),
    )
    for bad, complaint in others:
        findings[bad].append(complaint)
    return findings


def unaccepted(evidence: Evidence, journal: Journal) -> list[str]:
    """Plain messages that were lost before a worker wrote them down, with the broker's data or on their way. A caller
    without a database is warned of that: they were never accepted."""
    return [f"request {one.request_id}" for one in _rowless(evidence, journal) if _could_be_lost(one, journal)]


def _rowless(evidence: Evidence, journal: Journal) -> list[Submission]:
    known = evidence.request_by_id
    return [one for one in journal.of_fate("sent") if one.request_id not in known]


def _could_be_lost(message: Submission, journal: Journal) -> bool:
    return any(strike.fault in (*WIPING, *CUTTING) and strike.ended > message.called for strike in journal.strikes)


def _lost_requests(evidence: Evidence, journal: Journal) -> Iterator[str]:
    known = evidence.request_by_id
    for one in journal.of_fate("accepted"):
        if one.request_id not in known:
            yield f"request {one.request_id} was accepted and has no row"
    for one in _rowless(evidence, journal):
        if not _could_be_lost(one, journal):
            yield f"message {one.request_id} never became a row, and nothing that loses messages has happened since"


def _lost_effects(evidence: Evidence) -> Iterator[str]:
    """A success whose result names a release or a rollback has that row."""
    releases = {str(row.id): row for row in evidence.every_release}
    rollbacks = {str(row.id): row for row in evidence.rollbacks}
    for request in evidence.requests:
        if request.status != "succeeded":
            continue
        result = request.result
        if request.kind in MAKERS["release"] and result["created"]:
            release = releases.get(result["release_id"])
            if release is None or release.request_id != request.id:
                yield f"request {request.id} succeeded without its release"
            elif release.release_number != result["release_number"] or release.digest != result["digest"]:
                yield f"request {request.id} answered with another release than its own"
        if request.kind in ROLLBACKS and result["rollback_id"] is not None:
            rollback = rollbacks.get(result["rollback_id"])
            if rollback is None or rollback.request_id != request.id:
                yield f"request {request.id} succeeded without its rollback"


def _unasked(evidence: Evidence, journal: Journal) -> Iterator[str]:
    """An effect belongs to a request of its kind that succeeded; a transaction that was undone asked for nothing."""
    known = evidence.request_by_id
    asked = [(row, f"release {row.id}", MAKERS[row.kind]) for row in evidence.every_release]
    asked += [(row, f"rollback {row.id}", ROLLBACKS) for row in evidence.rollbacks]
    for row, name, of_kinds in asked:
        request = known.get(row.request_id)
        if request is None:
            yield f"{name} belongs to no request"
        elif request.status != "succeeded":
            yield f"{name} belongs to request {request.id}, which {request.status}"
        elif request.kind not in of_kinds or request.toolset_id != row.toolset_id or request.payload.get("dry_run"):
            yield f"{name} belongs to request {request.id}, which asked for something else"
    for one in journal.of_fate("undone"):
        if one.request_id in known:
            yield f"request {one.request_id} is there although its transaction was rolled back"


def _doubled(evidence: Evidence) -> Iterator[str]:
    """At most one release, backup, restored release and rollback for one request."""
    effects = Counter((row.request_id, row.kind) for row in evidence.every_release)
    effects.update((row.request_id, "rollback") for row in evidence.rollbacks)
    for (request_id, kind), count in effects.items():
        if count > 1:
            yield f"request {request_id} has {count} effects of kind {kind}"


def _gaps(evidence: Evidence) -> Iterator[str]:
    """Numbers count from 1, those of what was pruned included."""
    gone = [(entry.toolset_id, entry.what["version"]) for entry in evidence.log if entry.kind == "version gone"]
    for name, numbered in (
        ("release", [(row.toolset_id, row.release_number) for row in evidence.every_release]),
        ("version", [*((row.toolset_id, row.version) for row in evidence.versions), *gone]),
    ):
        for toolset_id, numbers in _by_toolset(numbered).items():
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"toolset {toolset_id}: the {name} numbers are not 1 to {len(numbers)}: {_around_gap(numbers)}"


def _around_gap(numbers: Sequence[int]) -> str:
    wrong = next(place for place, number in enumerate(numbers) if number != place + 1)
    return f"… {numbers[max(0, wrong - 1) : wrong + 2]} …"


def _broken_chains(evidence: Evidence) -> Iterator[str]:
    """Walk each toolset's events: what an event left was current before it, or, where that was pruned, is the nearest
    one before that; and the last made what is current now."""
    for toolset_id, now in evidence.current.items():
        current: UUID | None = None
        for event in _events(evidence, toolset_id):
            for left, row, name in event.left:
                before = current if isinstance(row, GoneRelease) else _kept(evidence, current)
                if left != before:
                    yield f"toolset {toolset_id}: {name} came after {left}, but {before} was current"
            current = event.made
        if current != now:
            yield f"toolset {toolset_id}: {now} is current, but history ends with {current}"
    previous: dict[UUID, UUID] = {}
    for version in evidence.versions:
        if version.predecessor_id != previous.get(version.toolset_id):
            yield f"toolset {version.toolset_id}: version {version.version} has a wrong predecessor"
        previous[version.toolset_id] = version.id


def _kept(evidence: Evidence, release_id: UUID | None) -> UUID | None:
    """The release, or the nearest one before it that was not pruned."""
    while release_id is not None and release_id in evidence.gone:
        release_id = evidence.gone[release_id].predecessor_id
    return release_id


class Event:
    """A release, with the backup before it, or a rollback with the releases that it made. Ids are in the order of the
    commits: they hold the time of their insert, and the toolset was locked."""

    def __init__(self, row: Any, backup: Any = None, restored: Any = None) -> None:
        self.id = row.id
        self.request_id: str | None = row.request_id
        if hasattr(row, "to_release_id"):
            made = [one for one in (backup, restored) if one is not None]
            self.left = [(row.from_release_id, row, f"rollback {row.id}")]
            self.left += [(one.predecessor_id, one, f"release {one.release_number}") for one in made]
            self.made: UUID = restored.id if restored is not None else row.to_release_id
        else:
            both = [one for one in (backup, row) if one is not None]
            self.left = [(one.predecessor_id, one, f"release {one.release_number}") for one in both]
            self.made = row.id


def _events(evidence: Evidence, toolset_id: UUID) -> list[Event]:
    releases = [row for row in evidence.every_release if row.toolset_id == toolset_id]
    made = {(row.request_id, row.kind): row for row in releases}
    events = [Event(row, made.get((row.request_id, "backup"))) for row in releases if row.kind == "release"]
    events += [
        Event(row, made.get((row.request_id, "backup")), made.get((row.request_id, "restored")))
        for row in evidence.rollbacks
        if row.toolset_id == toolset_id
    ]
    return sorted(events, key=lambda event: event.id)


def _wrong_digests(evidence: Evidence) -> Iterator[str]:
    for part_id, part in evidence.parts.items():
        if part.stored != part.computed:
            yield f"content {part_id} has not the digest that is stored with it"
    columns = {
        "toolset_version": "toolset_version_id",
        "source_state": "source_state_id",
        "global_variations": "global_variations_version_id",
        "toolset_variations": "toolset_variations_version_id",
    }
    for row in evidence.releases:
        ids = {name: getattr(row, column) for name, column in columns.items()}
        composed = {name: None if one is None else evidence.parts[one].computed for name, one in ids.items()}
        if digest(composed) != row.digest:
            yield f"release {row.id} has not the digest that is stored with it"


def _torn(evidence: Evidence, whole: set[UUID]) -> Iterator[str]:
    for part_id, part in evidence.parts.items():
        for component, epoch in part.epochs.items():
            if epoch == TORN:
                yield f"content {part_id}: {component} is of several moments"
    for row in evidence.releases:
        if row.toolset_id in whole:
            epochs = _epochs(evidence, row)
            if len(set(epochs.values())) > 1:
                yield f"release {row.release_number} of {row.toolset_id} is of several moments: {epochs}"


def _epochs(evidence: Evidence, row: Row[Any]) -> Mapping[str, object]:
    parts = (
        row.toolset_version_id,
        row.source_state_id,
        row.global_variations_version_id,
        row.toolset_variations_version_id,
    )
    return {
        component: epoch
        for part in parts
        if part is not None
        for component, epoch in evidence.parts[part].epochs.items()
    }


def _unfinished(evidence: Evidence) -> Iterator[str]:
    for row in evidence.requests:
        if row.status not in ("succeeded", "failed"):
            yield f"request {row.id} is still {row.status}, attempts {row.attempts}, error {row.error}"
        elif row.finished_at is None:
            yield f"request {row.id} {row.status} at no time"


def _broken(evidence: Evidence) -> Iterator[str]:
    for row in evidence.requests:
        no_copy = (
            row.kind in ("publish", "discard") and row.status == "failed" and row.error["type"] == "ToolsetNotFound"
        )
        if row.status == "failed" and row.error["type"] not in LEGITIMATE and not no_copy:
            yield f"request {row.id} ({row.kind}, {row.attempts} attempts) failed with {row.error}"


def _overtaken(evidence: Evidence, journal: Journal) -> Iterator[str]:
    """Requests of one toolset take effect in the order in which they were accepted. Judged where one had been accepted
    in the ledger before the other was even called."""
    known = evidence.request_by_id
    asked = {one.request_id or "": one for one in journal.of_fate("accepted") if one.request_id in known}
    for toolset_id in evidence.current:
        latest: Submission | None = None
        for event in _events(evidence, toolset_id):
            one = asked.get(event.request_id or "")
            if one is None:
                continue
            if latest is not None and one.answered < latest.called:
                yield f"request {one.request_id} took effect after {latest.request_id}, which was asked later"
            if latest is None or one.called > latest.called:
                latest = one


def _by_toolset(numbered: Sequence[tuple[UUID, int]]) -> dict[UUID, list[int]]:
    numbers: dict[UUID, list[int]] = defaultdict(list)
    for toolset_id, number in sorted(numbered, key=lambda one: one[1]):
        numbers[toolset_id].append(number)
    return numbers
