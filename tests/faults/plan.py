"""What a run asks for and what strikes it: all drawn from one seed before anything starts, so that a run can be
repeated. Only the timing is the machine's."""

import hashlib
import random
from collections.abc import Collection, Iterator, Sequence
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

# What is asked for. Only the first four may have a key, or be in a caller's transaction.
Action = Literal[
    "release",
    "rollback",
    "repair",
    "apply plan",
    "dry run",
    "check drift",
    "pin",
    "unpin",
    "mark",
    "prune",
    "cancel",
    "stage",
    "publish",
    "discard",
]
# The release that a rollback means without its number.
Word = Literal["previous", "undo", "last_good"]
# How a request reaches the worker: through the client's ledger, with `send_task` alone, or in a caller's transaction.
Channel = Literal["client", "plain", "session"]
# Whether apps hold the rows of what they edit: all of them, none of them, or those of some toolsets.
Holding = Literal["held", "unheld", "mixed"]
Fault = Literal[
    "kill child",
    "kill worker",
    "kill beat",
    "kill child in pin or prune",
    "terminate backend in pin or prune",
    "stop child past its lease",
    "stop worker past its lease",
    "flush broker",
    "restart broker",
    "restart broker without its data",
    "terminate backends",
    "restart postgres",
    "delete held lock",
    "deliver twice",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
ACTION_WEIGHTS = (30, 26, 6, 8, 4, 4, 4, 2, 6, 7, 5, 5, 4, 2)
# Those that give a toolset some components of another moment: never asked of the one that is edited as a whole.
MIXING: tuple[Action, ...] = ("stage", "publish", "discard")
FULL: tuple[Action, ...] = ("release", "rollback", "repair", "apply plan")
CHOOSING: tuple[Action, ...] = ("rollback", "repair", "dry run")  # those that may be of some components
CHANNELS: tuple[Channel, ...] = get_args(Channel)
HOLDINGS: tuple[Holding, ...] = get_args(Holding)
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(frozen=True, slots=True)
class Edit:
    """An app's transaction on one toolset at second `at`: one epoch is written all over these components. `held`: it
    first locks the rows of those who own them, and then replaces each component as a whole."""

    at: float
    toolset: int
    epoch: int
    components: tuple[str, ...]
    held: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request at second `at`.

    `target` is the release that is named, as a share of those that there are by then, unless a `word` names it; or the
    plan that is applied, unless it is `fresh`: asked for just before. `keep` is a prune's, `good` a mark's. `undone`
    says that the caller rolls its transaction back, `held` that the edit in it holds what it edits.
    """

    at: float
    index: int
    toolset: int
    action: Action
    channel: Channel
    target: float
    word: Word | None
    fresh: bool
    keep: int
    good: bool
    components: tuple[str, ...] | None
    on_missing: Literal["fail", "skip"]
    allow_shared_impact: bool
    allow_bad: bool
    only_if_changed: bool
    expects_wrongly: bool
    keyed: bool
    undone: bool
    held: bool


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
    seed: int,
    *,
    requests: int,
    rate: float = 5.0,
    spacing: float = 4.0,
    faults: tuple[Fault, ...] = FAULTS,
    edits: Holding = "held",
) -> Plan:
    """`requests` at `rate` a second on average, and a fault every `spacing` seconds on average, each kind in turn."""
    draw = random.Random(seed)
    holders = _holders(seed, edits)
    asks = tuple(_asks(draw, requests, rate, holders))
    end = asks[-1].at if asks else 0.0
    edited = tuple(sorted(_edits(draw, asks, rate, holders), key=lambda edit: edit.at))
    return Plan(seed, asks, edited, tuple(_strikes(draw, end, spacing, faults)))


def _holders(seed: int, edits: Holding) -> Collection[int]:
    """The toolsets whose apps hold what they edit; in a mixture some do and some do not."""
    if edits == "mixed":
        draw = random.Random(f"{seed} {edits}")
        return draw.sample(range(TOOLSETS), draw.randint(2, TOOLSETS - 1))
    return range(TOOLSETS if edits == "held" else 0)


def _asks(draw: random.Random, requests: int, rate: float, holders: Collection[int]) -> Iterator[Ask]:
    at = 0.0
    for index in range(requests):
        at += draw.expovariate(rate)
        toolset = draw.randrange(TOOLSETS)
        action = draw.choices(ACTIONS, weights=ACTION_WEIGHTS)[0]
        if action == "apply plan" and draw.random() < 0.5:
            toolset = TOOLSETS - 1  # nobody else's edits make its plans stale
        if action in MIXING and is_whole(toolset):
            action = "release"
        simple = action not in FULL
        partial = action in CHOOSING and not is_whole(toolset) and draw.random() < 0.4
        channel = draw.choices(CHANNELS, weights=(50, 30, 0 if simple else 20))[0]
        yield Ask(
            at=at,
            index=index,
            toolset=toolset,
            action=action,
            channel=channel,
            target=draw.random(),
            word=draw.choice(get_args(Word)) if draw.random() < 0.3 else None,
            fresh=draw.random() < 0.6,
            keep=draw.randint(3, 12),
            good=draw.random() < 0.5,
            components=tuple(draw.sample(COMPONENTS, draw.randint(1, 4))) if partial else None,
            on_missing=draw.choice(("fail", "skip")) if partial and action != "dry run" else "fail",
            allow_shared_impact=draw.random() < 0.7,
            allow_bad=draw.random() < 0.3,
            only_if_changed=draw.random() < 0.2,
            expects_wrongly=draw.random() < 0.03,
            keyed=not simple and draw.random() < 0.5,
            undone=channel == "session" and draw.random() < 0.4,
            held=toolset in holders,
        )


def _edits(draw: random.Random, asks: Sequence[Ask], rate: float, holders: Collection[int]) -> Iterator[Edit]:
    """Some at any time, and as many while a rollback of the same toolset is likely to be at work."""
    at, end = 0.0, asks[-1].at if asks else 0.0
    moments: list[tuple[float, int]] = []
    while (at := at + draw.expovariate(rate * 0.8)) < end:
        moments.append((at, draw.randrange(TOOLSETS)))
    for ask in asks:
        if ask.action == "rollback":
            moments += [(ask.at + draw.uniform(0.0, 0.06), ask.toolset) for _ in range(draw.randint(1, 3))]
    for epoch, (at, toolset) in enumerate(moments, 1):
        some = tuple(draw.sample(COMPONENTS, draw.randint(1, 3)))
        yield Edit(at, toolset, epoch, COMPONENTS if is_whole(toolset) else some, toolset in holders)


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
