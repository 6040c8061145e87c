"""Where rollbacks went, and why requests were refused: each rollback went to the release that it meant at that moment,
and each refusal had a reason."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from tests.faults.course import Course
from tests.faults.evidence import COPYING, ROLLBACKS, Evidence
from tests.faults.journal import Journal

# lost: a release that was there and was not found, a cancellation without effect. unasked: a request that nobody
# cancelled. unexplained: a rollback to another release than was meant, or to a bad one. broken: a refusal without a
# reason.
Complaint = tuple[Literal["lost", "unasked", "unexplained", "broken"], str]
# A plan tells these, and does not fail with them.
TOLD = {"StaleState", "ReleaseMarkedBad", "MissingDependencies", "SharedStateImpact"}


def refusals(evidence: Evidence, journal: Journal) -> Iterator[Complaint]:
    """All rollbacks that went astray or answered wrongly, and all refusals without a reason, but for stale plans."""
    yield from _cancelled(evidence, journal)
    yield from _wrong_answers(evidence)
    courses: dict[UUID, Course] = defaultdict(Course)
    requests = evidence.request_by_id
    for entry in evidence.log:
        request = requests.get(entry.what.get("request_id") or entry.what.get("id"))
        if request is not None:
            yield from _judged(courses[entry.toolset_id], entry, request, evidence.rollback_of(request))
        courses[entry.toolset_id].take(entry)


def _wrong_answers(evidence: Evidence) -> Iterator[Complaint]:
    """A rollback's answer names the releases that its record names."""
    numbers = {row.id: row.release_number for row in evidence.every_release}
    requests = evidence.request_by_id
    for row in evidence.rollbacks:
        request = requests.get(row.request_id)
        if request is None or request.status != "succeeded" or request.kind not in ROLLBACKS:
            continue
        for name in ("from", "to", "backup"):
            recorded = numbers.get(getattr(row, f"{name}_release_id"))
            if request.result[f"{name}_release_number"] != recorded:
                yield (
                    "unexplained",
                    f"request {request.id} answered with another {name} release than its record's, {recorded}",
                )


def _judged(course: Course, entry: Row[Any], request: Row[Any], asked: Mapping[str, Any] | None) -> Iterator[Complaint]:
    if request.kind in COPYING and entry.kind in ("answer", "failure"):
        yield from _copied(course, request)
    if entry.kind in ("answer", "failure") and request.status == "failed":
        yield from _refused(course, request, asked)
    elif asked is None or asked.get("dry_run"):
        return
    elif entry.kind == "rollback":
        yield from _went(course, request, asked, UUID(entry.what["to_release_id"]))
    elif entry.kind == "answer" and request.status == "succeeded" and request.result["rollback_id"] is None:
        number = request.result["to_release_number"]
        yield from _went(course, request, asked, course.target({"release_number": number}))


def _went(course: Course, request: Row[Any], asked: Mapping[str, Any], went: UUID | None) -> Iterator[Complaint]:
    meant = course.target(asked)
    if went != meant:
        yield "unexplained", f"{request.kind} {request.id} went to {went}, but meant {meant}"
    elif meant is not None and course.said.get(meant) == "bad" and not asked.get("allow_bad"):
        yield "unexplained", f"{request.kind} {request.id} went to {meant}, which was marked bad"


def _copied(course: Course, request: Row[Any]) -> Iterator[Complaint]:
    """There is a copy from `stage` on, until it is discarded or published."""
    name = f"{request.kind} {request.id}"
    if request.status == "failed":
        if request.error["type"] == "ToolsetNotFound" and (course.has_copy or request.kind == "stage"):
            yield "lost", f"{name} did not find a copy, which was there"
    elif request.kind == "stage":
        if request.result["created"] == course.has_copy:
            yield (
                "unexplained",
                f"{name} answered {request.result}, but a copy was {'' if course.has_copy else 'not '}there",
            )
    elif not course.has_copy:
        yield "unexplained", f"{name} succeeded without a copy"


def _refused(course: Course, request: Row[Any], asked: Mapping[str, Any] | None) -> Iterator[Complaint]:
    error, name = request.error["type"], f"{request.kind} {request.id}"
    if (
        error == "StaleState"
        and request.kind != "apply_plan"
        and request.payload.get("expected_current_release") is None
    ):
        yield "broken", f"{name} was refused as stale, and had expected nothing"
    if asked is None:
        return
    if error in TOLD and asked.get("dry_run"):
        yield "broken", f"{name} failed with {error}, which a plan only tells"
    target = course.target(asked)
    if error == "ReleaseMarkedBad" and (asked.get("allow_bad") or target is None or course.said.get(target) != "bad"):
        yield "broken", f"{name} was refused because of a mark that was not there"
    if error == "ReleaseNotFound" and target is not None:
        yield "lost", f"{name} did not find release {target}, which was there"


def _cancelled(evidence: Evidence, journal: Journal) -> Iterator[Complaint]:
    """Somebody asked for each cancellation, and each that was done has ended its request."""
    fates = defaultdict(set)
    for request_id, fate in journal.cancels:
        fates[request_id].add(fate)
    ended = {row.id for row in evidence.requests if row.status == "failed" and row.error["type"] == "RequestCancelled"}
    for request_id, of in fates.items():
        if "done" in of and request_id not in ended:
            yield "lost", f"request {request_id} was cancelled, as its caller was told, and went on"
    for request_id in ended:
        if not fates[request_id] & {"done", "unknown"}:
            yield "unasked", f"request {request_id} was cancelled, and nobody did that"
