"""The one table of a run."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from tests.faults.campaign import Outcome
from tests.faults.plan import FAULTS
from tests.faults.verdict import BAD

EXAMPLES = 10  # of each kind of finding that are shown


def table(outcome: Outcome, command: str) -> str:
    """Markdown, fit for docs/reliability.md. A time to recover is from a strike to the first success of a request that
    was submitted after it."""
    recoveries = outcome.journal.recoveries()
    every = [one for times in recoveries.values() for one in times]
    lines = ["| what | count | median time to recover | maximum |", "|---|--:|--:|--:|"]
    lines += [_struck(fault, recoveries.get(fault, [])) for fault in FAULTS]
    lines.append(_struck("**all faults**", every))
    lines += [f"| {name} | {count} | | |" for name, count in _counts(outcome)]
    lines += [f"| **{bad}** | **{len(outcome.findings[bad])}** | | |" for bad in BAD]
    lines += ["", f"`{command}` (seed {outcome.plan.seed}, plan {outcome.plan.fingerprint})"]
    return "\n".join(lines)


def _struck(fault: str, times: list[float]) -> str:
    if not times:
        return f"| {fault} | 0 | | |"
    return f"| {fault} | {len(times)} | {median(times):.2f} s | {max(times):.2f} s |"


def complaints(outcome: Outcome) -> Iterator[str]:
    """The findings in words."""
    for bad, found in outcome.findings.items():
        yield from (f"{bad}: {one}" for one in found[:EXAMPLES])
        if len(found) > EXAMPLES:
            yield f"{bad}: … and {len(found) - EXAMPLES} more"


def _counts(outcome: Outcome) -> Iterator[tuple[str, object]]:
    evidence, journal = outcome.evidence, outcome.journal
    ended = Counter(
        row.status if row.status == "succeeded" else f"failed, {(row.error or {}).get('type')}"
        for row in evidence.requests
    )
    yield "requests in the ledger", len(evidence.requests)
    yield from sorted(ended.items(), reverse=True)
    kinds = Counter(row.kind for row in evidence.releases)
    yield "effects", len(evidence.releases) + len(evidence.rollbacks)
    yield (
        "of these releases / backups / restored",
        " / ".join(str(kinds[one]) for one in ("release", "backup", "restored")),
    )
    yield "of these rollbacks", len(evidence.rollbacks)
    done = Counter(row.kind for row in evidence.requests if row.status == "succeeded")
    yield "pins / prunes / readings of drift that succeeded", f"{done['pin']} / {done['prune']} / {done['check_drift']}"
    yield "marks / repairs / applied plans that succeeded", f"{done['mark']} / {done['repair']} / {done['apply_plan']}"
    yield "copies staged / published / discarded", f"{done['stage']} / {done['publish']} / {done['discard']}"
    cancels = Counter(fate for _, fate in journal.cancels)
    yield "cancelled / begun before they could be cancelled", f"{cancels['done']} / {cancels['refused']}"
    yield "releases that were pruned", len(evidence.gone)
    yield "attempts above one", sum(max(0, row.attempts - 1) for row in evidence.requests)
    yield "undone by their caller", len(journal.of_fate("undone"))
    yield "callers told of an error", len(journal.of_fate("unknown"))
    yield "unaccepted: plain messages lost before they had a row", len(outcome.unaccepted)
    yield from sorted(journal.counts.items())
    yield "seconds of load / until calm", f"{outcome.plan.seconds:.0f} / {outcome.settled_after:.0f}"
