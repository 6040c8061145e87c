"""How much of everything a run does: enough to trust, or enough to see that the benchmark itself works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts are per turn, `seconds` are of a turn; a turn is repeated in every round."""

    rounds: int
    toolsets: int  # in the world, one request each in a throughput turn
    peer_toolsets: int  # of these, how many a peer's turn asks for
    noops: int
    replay_seconds: int
    hot_requests: int
    peer_hot_requests: int
    latency_requests: int
    cold_requests: int
    flood: int  # requests that wait for the hot toolset while cold ones are measured
    tools: tuple[int, ...]  # listed by the toolsets whose growth is measured
    repeats: int  # of an operation in a round, of which the median counts, where it takes milliseconds
    history: tuple[int, ...]  # releases that a toolset has already
    seconds_a_size: float  # after which a size has had its rounds, be they less
    unchanged_requests: int
    enqueues: int
    backlog: int  # requests that wait when a worker is let go
    spread: tuple[int, ...]  # over so many toolsets
    big_tools: int  # of a big toolset
    sampled: int  # toolsets whose service times are measured
    real_toolsets: int  # of the worker that the simulation is held against
    real_seconds: float
    real_burst: int
    simulated_toolsets: int
    simulated_seconds: float
    simulated_flood: int  # requests for one toolset at once


FULL = Scale(
    rounds=5,
    toolsets=500,
    peer_toolsets=250,
    noops=1000,
    replay_seconds=3,
    hot_requests=300,
    peer_hot_requests=50,
    latency_requests=150,
    cold_requests=20,
    flood=150,
    tools=(100, 1_000, 10_000, 100_000),
    repeats=5,
    history=(10, 1_000, 100_000),
    seconds_a_size=60.0,
    unchanged_requests=300,
    enqueues=300,
    backlog=128,
    spread=(1, 4, 64),
    big_tools=2_000,
    sampled=40,
    real_toolsets=100,
    real_seconds=15.0,
    real_burst=60,
    simulated_toolsets=10_000,
    simulated_seconds=120.0,
    simulated_flood=2_000,
)

QUICK = Scale(
    rounds=2,
    toolsets=30,
    peer_toolsets=15,
    noops=60,
    replay_seconds=1,
    hot_requests=20,
    peer_hot_requests=10,
    latency_requests=15,
    cold_requests=4,
    flood=15,
    tools=(50, 500),
    repeats=1,
    history=(10, 500),
    seconds_a_size=10.0,
    unchanged_requests=30,
    enqueues=40,
    backlog=16,
    spread=(1, 4),
    big_tools=200,
    sampled=8,
    real_toolsets=20,
    real_seconds=4.0,
    real_burst=8,
    simulated_toolsets=200,
    simulated_seconds=5.0,
    simulated_flood=50,
)
