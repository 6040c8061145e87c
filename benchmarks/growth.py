"""What a release and a rollback cost as toolsets grow, and as their history does."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from benchmarks import bare, correctness
from benchmarks.growth_world import FEW, GrownToolset, Kind, build_history, build_toolset, edit, tidy
from benchmarks.in_process import InProcessWorker
from benchmarks.measurements import Measurements
from benchmarks.pgbench import Pgbench
from benchmarks.scale import Scale

LONGEST_OPERATION = 45.0  # seconds; what is expected to take longer is not tried
OPERATIONS = (
    ("release", "none"),
    ("release", str(FEW)),
    ("rollback", str(FEW)),
    ("release", "all"),
    ("rollback", "all"),
)
MILLISECONDS = 1000.0


@dataclass
class Growth:
    """The toolsets under measurement, all in one database, and a worker in this process."""

    worker: InProcessWorker
    measured: Measurements
    releases: int = 0
    pgbench: Pgbench = field(init=False)

    def __post_init__(self) -> None:
        self.pgbench = Pgbench(self.worker.site.database_url, self.worker.site.directory)

    def release(self, toolset: GrownToolset) -> tuple[int, float]:
        """Its number, and its milliseconds."""
        answer = self.worker.create_release(toolset.path)
        self.releases += 1
        return int(answer.result["release_number"]), answer.seconds * MILLISECONDS

    def roll_back(self, toolset: GrownToolset, release_number: int) -> float:
        """Its milliseconds. That there was something to roll back, and no backup to make, is checked."""
        answer = self.worker.rollback(toolset.path, release_number)
        if answer.result["noop"] or answer.result["backup_release_number"] is not None:
            self.measured.fail(toolset.path, [f"not the rollback that was to be measured: {answer.result}"[:300]])
        return answer.seconds * MILLISECONDS

    def bare(self, statement: str) -> float:
        """The milliseconds of one statement from pgbench."""
        return self.pgbench.once("bare", statement).milliseconds

    def edit(self, toolset: GrownToolset, changed: int) -> None:
        with self.worker.site.engine.begin() as connection:
            edit(connection, toolset, changed)


def measure_growth(worker: InProcessWorker, scale: Scale, measured: Measurements) -> None:
    """Rounds over all sizes, and rounds over all lengths of history."""
    growth = Growth(worker, measured, correctness.number_of_releases(worker.site.engine))
    _measure_sizes(growth, scale)
    _measure_history(growth, scale)


def size_name(operation: str, kind: Kind, tools: int, changed: str) -> str:
    """The name of one such figure."""
    return f"{operation}, {tools:,} tools {kind}, {changed} changed"


def bare_name(statement: str, kind: Kind, tools: int) -> str:
    return f"bare {statement}, {tools:,} tools {kind}"


def history_name(operation: str, releases: int) -> str:
    return f"{operation}, history of {releases:,} releases"


@dataclass
class Sized:
    """A toolset of some size, and how long its operations have taken so far, in seconds."""

    kind: Kind
    toolset: GrownToolset
    spent: float = 0.0
    longest: float = 0.0


def _measure_sizes(growth: Growth, scale: Scale) -> None:
    """Small sizes first, so that what grows too fast is given up before it takes hours."""
    engine = growth.worker.site.engine
    sizes = _build_sizes(growth, scale)
    given_up: list[Sized] = []
    for _ in range(scale.rounds):
        for place, sized in enumerate(sizes):
            if sized in given_up or sized.spent > scale.seconds_a_size:
                continue
            if not sized.spent and _expected(sizes[:place], sized.kind) > LONGEST_OPERATION:
                given_up.append(sized)
                _give_up(growth.measured, sized)
                continue
            _size_turn(growth, sized, scale.repeats)
            _bare_turn(growth, sized)
            tidy(engine)
            growth.measured.fail("growth", correctness.newest_is_whole(engine, sized.toolset.path))
        growth.measured.fail("growth", correctness.numbering(engine, growth.releases))


def _build_sizes(growth: Growth, scale: Scale) -> list[Sized]:
    """All of them, released once, which is a measurement, too."""
    kinds: tuple[Kind, ...] = ("listed", "provided")
    with growth.worker.site.engine.begin() as connection:
        connection.execute(text(bare.TABLE))
        sizes = [Sized(kind, build_toolset(connection, kind, tools)) for kind in kinds for tools in scale.tools]
    tidy(growth.worker.site.engine)
    for sized in sizes:
        _, milliseconds = growth.release(sized.toolset)
        growth.measured.add(f"first release, {sized.toolset.tools:,} tools {sized.kind}", "ms", milliseconds)
    return sizes


def _expected(smaller: Sequence[Sized], kind: Kind) -> float:
    """The seconds of the longest operation of the next size, if it grows as from the last but one to the last."""
    longest = [sized.longest for sized in smaller if sized.kind == kind]
    return longest[-1] ** 2 / longest[-2] if len(longest) > 1 else 0.0


def _give_up(measured: Measurements, sized: Sized) -> None:
    for operation, changed in OPERATIONS:
        measured.give_up(size_name(operation, sized.kind, sized.toolset.tools, changed), "ms")


def _size_turn(growth: Growth, sized: Sized, repeats: int) -> None:
    """Of small toolsets the median of a few."""
    toolset = sized.toolset
    found: dict[str, list[float]] = {}

    def note(operation: str, changed: str, milliseconds: float) -> None:
        found.setdefault(size_name(operation, sized.kind, toolset.tools, changed), []).append(milliseconds)
        sized.longest = max(sized.longest, milliseconds / MILLISECONDS)
        sized.spent += milliseconds / MILLISECONDS

    for _ in range(repeats if toolset.tools <= 1_000 else 1):
        growth.edit(toolset, 0)  # from which ten and all are changed
        growth.release(toolset)  # not timed: after a rollback, the newest version of the list is another
        base, milliseconds = growth.release(toolset)
        note("release", "none", milliseconds)
        for name, statement in _bare_digests(sized).items():  # of what the release before had to digest, as it lies
            found.setdefault(bare_name(name, sized.kind, toolset.tools), []).append(growth.bare(statement))
        for changed, word in ((FEW, str(FEW)), (toolset.tools, "all")):
            growth.edit(toolset, changed)
            note("release", word, growth.release(toolset)[1])
            note("rollback", word, growth.roll_back(toolset, base))
    _add_medians(growth.measured, found)


def _bare_turn(growth: Growth, sized: Sized) -> None:
    """What a bare client needs to write the same rows, as new as they were for the release."""
    toolset = sized.toolset
    growth.edit(toolset, toolset.tools)
    milliseconds = growth.bare(bare.insert(sized.kind, toolset.toolset_id, toolset.project_id))
    growth.measured.add(bare_name("INSERT", sized.kind, toolset.tools), "ms", milliseconds)
    with growth.worker.site.engine.begin() as connection:
        connection.execute(text(bare.EMPTY))


def _bare_digests(sized: Sized) -> Mapping[str, str]:
    toolset = sized.toolset
    return {
        "SELECT of the digest": bare.select_digest(sized.kind, toolset.toolset_id, toolset.project_id),
        "SELECT of a digest of arrays": bare.select_arrays(sized.kind, toolset.toolset_id, toolset.project_id),
    }


def _measure_history(growth: Growth, scale: Scale) -> None:
    engine = growth.worker.site.engine
    with engine.begin() as connection:
        toolsets = {releases: build_history(connection, releases) for releases in scale.history}
    growth.releases += sum(scale.history)
    tidy(engine)
    for _ in range(scale.rounds):
        found: dict[str, list[float]] = {}
        for _ in range(scale.repeats):
            for releases, toolset in toolsets.items():
                _history_turn(growth, releases, toolset, found)
        _add_medians(growth.measured, found)
        growth.measured.fail("history", correctness.numbering(engine, growth.releases))
        for toolset in toolsets.values():
            growth.measured.fail("history", correctness.newest_is_whole(engine, toolset.path))


def _history_turn(growth: Growth, releases: int, toolset: GrownToolset, found: dict[str, list[float]]) -> None:
    growth.release(toolset)  # as for sizes
    base, unchanged = growth.release(toolset)
    growth.edit(toolset, FEW)
    _, changed = growth.release(toolset)
    back = growth.roll_back(toolset, base)
    found.setdefault(history_name("unchanged release", releases), []).append(unchanged)
    found.setdefault(history_name("release", releases), []).append(changed)
    found.setdefault(history_name("rollback", releases), []).append(back)


def _add_medians(measured: Measurements, found: Mapping[str, list[float]]) -> None:
    for name, milliseconds in found.items():
        measured.add(name, "ms", statistics.median(milliseconds))
