"""Is an outcome that of one of the two orders?

Operations among each other, and beside an app that holds what it edits: yes, always, with every row, number and answer.
Beside an app that does not hold it, an operation that the app's commit came before has either seen all of it or none,
so that is one order too. What the app's later statements did to the rows that an operation had left by then is
between the app and PostgreSQL's READ COMMITTED; all else is as if the operation had been first, and the rest is drift.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.interleavings.actions import Action, Edit, Operation
from tests.interleavings.outcome import Outcome, difference
from tests.interleavings.playing import Played, Serial

# By toolset: the components in which live state differs from the current release, and those that drift names.
Drift = Mapping[str, tuple[frozenset[str], frozenset[str]]]


def judge(first: Action, second: Action, played: Played, serial: Serial, drift: Drift) -> list[str]:
    """What is wrong with a run; nothing if all is well."""
    complaints = []
    if played.deadlocked:
        complaints.append("both waited for each other")
    orders = admissible(first, second, serial)
    if played.outcome in orders.values():
        return complaints
    edit = next((action for action in (first, second) if isinstance(action, Edit) and not action.holds), None)
    if edit is None:
        return [*complaints, *_no_order(played.outcome, orders)]
    role = "first" if edit is first else "second"
    other = "second" if role == "first" else "first"
    if played.order != (other, role):
        return [*complaints, f"the {role} committed before the {other}", *_no_order(played.outcome, orders)]
    expected = orders[f"{other}, then {role}"]
    left = difference(
        without(played.outcome, edit.touches, f"answers/{role}/rows"),
        without(expected, edit.touches, f"answers/{role}/rows"),
    )
    return [*complaints, *left, *_wrong_drift(drift)]


def admissible(first: Action, second: Action, serial: Serial) -> dict[str, Outcome]:
    """The orders that an outcome may be of. Requests of one toolset are worked in the order of asking."""
    orders = {"first, then second": serial.first_then_second}
    return orders if in_one_mailbox(first, second) else {**orders, "second, then first": serial.second_then_first}


def in_one_mailbox(first: Action, second: Action) -> bool:
    """Whether both are requests of one toolset."""
    return isinstance(first, Operation) and isinstance(second, Operation) and first.toolset == second.toolset


def without(outcome: Outcome, *paths: str | frozenset[str]) -> Outcome:
    """The outcome but for these paths and what is below them."""
    left_out = [path for each in paths for path in ([each] if isinstance(each, str) else each)]
    return {
        path: value
        for path, value in outcome.items()
        if not any(path == out or path.startswith(f"{out}/") for out in left_out)
    }


def _no_order(outcome: Outcome, orders: Mapping[str, Outcome]) -> list[str]:
    """How it differs from the nearest order, and where from the other."""
    (nearest, least), *rest = sorted(
        ((order, difference(outcome, expected)) for order, expected in orders.items()), key=lambda found: len(found[1])
    )
    others = [f"nor {order}: {', '.join(line.split(': ')[0] for line in lines)}" for order, lines in rest]
    return [f"it is not {nearest}:", *(f"    {line}" for line in least), *others]


def _wrong_drift(drift: Drift) -> list[str]:
    return [
        f"{toolset} has moved away in {_listed(moved)}, and drift says {_listed(told)}"
        for toolset, (moved, told) in drift.items()
        if moved != told
    ]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def report(first: Action, second: Action, serial: Serial, findings: Mapping[str, Sequence[str]]) -> str:
    """For people: the pair, how each order ends, and what is wrong where."""
    lines = [f"{first.name} + {second.name}"]
    for order, outcome in (
        ("first, then second", serial.first_then_second),
        ("second, then first", serial.second_then_first),
    ):
        lines.append(f"  {order}: {ending(outcome, 'first')}; {ending(outcome, 'second')}")
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for stop, complaints in findings.items():
        alike[tuple(complaints)].append(stop)
    for found, stops in alike.items():
        more = [f"  and before {len(stops) - 3} more, last {stops[-1]}"] if len(stops) > 3 else []
        lines += [*(f"  stopped before {stop}" for stop in stops[:3]), *more]
        lines += [f"      {complaint}" for complaint in found]
    return "\n".join(lines)


def ending(outcome: Outcome, role: str) -> str:
    """How one of the two ended."""
    error = outcome.get(f"answers/{role}/error")
    if error is None:
        return f"{role} done"
    return f"{role} ended in {error['type'] if isinstance(error, dict) else error}"
