"""How many a second: everyone's turns, one after the other in every round, so that a busy moment meets all alike."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.limit import Noop, Replay, recorded_replay, running_noop
from benchmarks.measurements import Measurements
from benchmarks.product import BATCH, Product, Turn
from benchmarks.scale import Scale
from benchmarks.stage import Stage

if TYPE_CHECKING:
    from benchmarks.peers.contenders import Peer

NOOP = "limit: no-op Celery task"
REPLAY_ONE = "limit: statements by pgbench, 1 connection"
REPLAY = "limit: statements by pgbench, 2 connections"
LIMIT = "limit: both in series (pgbench with 2)"
STATEMENTS = "limit: statements of the operation's transaction"
ALL_STATEMENTS = "limit: statements of the whole task, pings included"
CHANGED = "releases, all toolsets, all parts changed"
UNCHANGED = "releases, all toolsets, nothing changed"
HOT = "releases, one hot toolset, nothing changed"
ROLLBACKS = "rollbacks, all toolsets"
PEER = "peer, all parts changed: "
PEER_HOT = "peer, one hot toolset: "
PLAIN = "releases, by plain send_task, nothing changed"
BATCHED = f"releases, asked for {BATCH} at once, nothing changed"
ASKING = "{}: of its time, spent asking"
CPU = "{}: CPU, {}"

Named = tuple[str, Callable[[], Turn]]


def measure_throughput(
    stage: Stage, scale: Scale, parts: frozenset[str], product: Product, measured: Measurements
) -> None:
    """Rounds of turns of the chosen parts; the product's own releases are always among them, for comparison."""
    with ExitStack() as stack:
        turns = _start(stage, scale, parts, product, measured, stack)
        for _ in range(scale.rounds):
            for name, take in turns:
                turn = take()
                measured.add(name, "1/s", turn.rate)
                measured.fail(name, turn.failures)
                if name in (NOOP, CHANGED):
                    measured.add(ASKING.format(name), "%", 100 * turn.asking / turn.seconds)
                for process, seconds in turn.cpu.items():
                    measured.add(CPU.format(name, process), "ms", 1000 * seconds / turn.done)
            if "limit" in parts:
                _add_limit(measured)


def _start(
    stage: Stage,
    scale: Scale,
    parts: frozenset[str],
    product: Product,
    measured: Measurements,
    stack: ExitStack,
) -> list[Named]:
    """Start every worker, wait for all of them, and say who has a turn in each round."""
    noop = stack.enter_context(running_noop(stage)) if "limit" in parts else None
    peers = _start_peers(stage, stack) if "peers" in parts else []
    replay = recorded_replay(stage) if "limit" in parts else None
    for contender in (product, *([noop] if noop else ()), *peers):
        contender.wait_until_ready()
    turns: list[Named] = []
    if noop and replay:
        measured.add(STATEMENTS, "", len(replay.recording.operation.statements))
        measured.add(ALL_STATEMENTS, "", replay.recording.statements)
        turns += _limit_turns(noop, replay, scale)
    turns += _product_turns(product, scale, everything="end_to_end" in parts)
    for peer in peers:
        turns += _peer_turns(peer, scale)
    return turns


def _start_peers(stage: Stage, stack: ExitStack) -> "list[Peer]":
    """Imported here, so that the rest can be measured where no peer is installed."""
    from benchmarks.peers.contenders import running_peers

    return stack.enter_context(running_peers(stage))


def _limit_turns(noop: Noop, replay: Replay, scale: Scale) -> Iterator[Named]:
    yield NOOP, lambda: noop.turn(scale.noops)
    yield REPLAY_ONE, lambda: replay.turn(1, scale.replay_seconds)
    yield REPLAY, lambda: replay.turn(2, scale.replay_seconds)


def _add_limit(measured: Measurements) -> None:
    """Of this round: the time of a release is that of a task that does nothing, and then that of its statements."""
    noop, replay = measured.latest(NOOP), measured.latest(REPLAY)
    measured.add(LIMIT, "1/s", 1 / (1 / noop + 1 / replay))


def _product_turns(product: Product, scale: Scale, *, everything: bool) -> Iterator[Named]:
    yield CHANGED, product.changed_releases
    if everything:
        yield UNCHANGED, product.release_each
        yield PLAIN, product.plain_releases
        yield BATCHED, product.batched_releases
        yield HOT, lambda: product.hot_releases(scale.hot_requests)
        yield ROLLBACKS, product.rollbacks


def _peer_turns(peer: "Peer", scale: Scale) -> Iterator[Named]:
    yield f"{PEER}{peer.name}", lambda: peer.changed_releases(scale.peer_toolsets)
    yield f"{PEER_HOT}{peer.name}", lambda: peer.hot_releases(scale.peer_hot_requests)
