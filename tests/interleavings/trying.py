"""All that can happen to a pair: the first stopped at each of its moments in turn."""

from collections.abc import Iterator

from tests.interleavings.actions import Action
from tests.interleavings.judge import Drift, in_one_mailbox, judge
from tests.interleavings.playing import Played, Serial, interleave, play_serially
from tests.interleavings.stage import Stage
from tests.support.live_state import live_state
from tests.support.operations import drift
from tests.support.records import captured_states, current_number


def try_pair(stage: Stage, first: Action, second: Action) -> tuple[Serial, dict[str, list[str]]]:
    """How both orders end, and what is wrong at which moment."""
    serial = play_serially(stage, first, second)
    findings = {played.stopped_before: found for played, found in _runs(stage, first, second, serial) if found}
    stage.tidy()
    return serial, findings


def _runs(stage: Stage, first: Action, second: Action, serial: Serial) -> Iterator[tuple[Played, list[str]]]:
    for stop in moments(first, second, serial):
        played = interleave(stage, first, second, stop)
        in_order = played.outcome in (serial.first_then_second, serial.second_then_first)
        yield played, judge(first, second, played, serial, {} if in_order else read_drift(stage))


def moments(first: Action, second: Action, serial: Serial) -> Iterator[int]:
    """All of them; but of the many at which one condition, that of the mailbox, keeps the second away, every third."""
    for stop in range(serial.moments):
        if stop < 6 or stop >= serial.moments - 3 or stop % 3 == 0 or not in_one_mailbox(first, second):
            yield stop


def read_drift(stage: Stage) -> Drift:
    """Of each toolset that is still there."""
    found = {}
    for label, toolset in stage.scene.toolsets.items():
        number = current_number(stage.engine, toolset)
        if number is None or _deleted(stage, label):
            continue
        live, held = live_state(stage.engine, toolset), captured_states(stage.engine, toolset)[number]
        moved = frozenset(name for name in live if live[name] != held[name])
        found[label] = moved, frozenset(drift(stage.engine, toolset).changes)
    return found


def _deleted(stage: Stage, label: str) -> bool:
    toolset = stage.scene.toolsets[label]
    with toolset.rows.transaction() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT deleted_at IS NOT NULL FROM toolsets WHERE id = %s", (toolset.id,)
            ).scalar_one()
        )
