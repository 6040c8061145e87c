"""What a run asks for and what strikes it: all drawn from one seed before anything starts, so that a run can be
repeated. Only the timing is the machine's."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

TOOLSETS = 5
COMPONENTS = (
    "tools",
    "resources",
    "settings",
    "deployment",
    "system",
    "global_variations",
    "toolset_variations",
)

# How a request reaches the worker: through the client's ledger, with `send_task` alone, or in a caller's transaction.
Channel = Literal["client", "plain", "session"]
Fault = Literal[
    "kill child",
    "kill worker",
    "stop child past its lease",
    "flush broker",
    "restart broker",
    "restart broker without its data",
    "terminate backends",
    "restart postgres",
    "delete held lock",
    "deliver twice",
]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(frozen=True, slots=True)
class Edit:
    """An app's transaction on one toolset at second `at`: one epoch is written all over these components."""

    at: float
    toolset: int
    epoch: int
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request at second `at`.

    `target` is a rollback's release as a share of the numbers that there are by then; None for a release. `undone`
    says that the caller rolls its transaction back.
    """

    at: float
    index: int
    toolset: int
    channel: Channel
    target: float | None
    components: tuple[str, ...] | None
    on_missing: Literal["fail", "skip"]
    allow_shared_impact: bool
    only_if_changed: bool
    expects_wrongly: bool
    keyed: bool
    undone: bool


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at second `at`; `draw` decides whom it hits, and `seconds` for how long."""

    at: float
    fault: Fault
    draw: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    asks: tuple[Ask, ...]
    edits: tuple[Edit, ...]
    strikes: tuple[Strike, ...]

    @property
    def seconds(self) -> float:
        return max((ask.at for ask in self.asks), default=0.0)

    @property
    def fingerprint(self) -> str:
        """Equal for equal plans."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def make_plan(
    seed: int, *, requests: int, rate: float = 5.0, spacing: float = 4.0, faults: tuple[Fault, ...] = FAULTS
) -> Plan:
    """`requests` at `rate` a second on average, and a fault every `spacing` seconds on average, each kind in turn."""
    draw = random.Random(seed)
    asks = tuple(_asks(draw, requests, rate))
    end = asks[-1].at if asks else 0.0
    edits = tuple(_edits(draw, end, rate))
    return Plan(seed, asks, edits, tuple(_strikes(draw, end, spacing, faults)))


def _asks(draw: random.Random, requests: int, rate: float) -> Iterator[Ask]:
    at = 0.0
    for index in range(requests):
        at += draw.expovariate(rate)
        toolset = draw.randrange(TOOLSETS)
        rollback = draw.random() < 0.45
        partial = rollback and not is_whole(toolset) and draw.random() < 0.4
        channel = draw.choices(CHANNELS, weights=(50, 30, 20))[0]
        yield Ask(
            at=at,
            index=index,
            toolset=toolset,
            channel=channel,
            target=draw.random() if rollback else None,
            components=tuple(draw.sample(COMPONENTS, draw.randint(1, 4))) if partial else None,
            on_missing=draw.choice(("fail", "skip")) if partial else "fail",
            allow_shared_impact=draw.random() < 0.7,
            only_if_changed=not rollback and draw.random() < 0.2,
            expects_wrongly=draw.random() < 0.03,
            keyed=draw.random() < 0.5,
            undone=channel == "session" and draw.random() < 0.4,
        )


def _edits(draw: random.Random, end: float, rate: float) -> Iterator[Edit]:
    at, epoch = 0.0, 0
    while (at := at + draw.expovariate(rate * 0.8)) < end:
        toolset = draw.randrange(TOOLSETS)
        epoch += 1
        some = tuple(draw.sample(COMPONENTS, draw.randint(1, 3)))
        yield Edit(at, toolset, epoch, COMPONENTS if is_whole(toolset) else some)


def _strikes(draw: random.Random, end: float, spacing: float, faults: tuple[Fault, ...]) -> Iterator[Strike]:
    at, waiting = 0.0, list[Fault]()
    while (at := at + draw.uniform(0.5, 1.5) * spacing) < end:
        if not waiting:
            waiting = draw.sample(faults, len(faults))
        yield Strike(at, waiting.pop(), draw.random(), draw.uniform(17.0, 22.0))


def is_whole(toolset: int) -> bool:
    """The last toolset has a project and an organization to itself, and is edited and rolled back only as a whole: all
    of its components are always of one epoch, and a release in which they are not was torn."""
    return toolset == TOOLSETS - 1
