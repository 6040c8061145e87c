"""What happens to tools and resources that the target served but that nothing would provide after the rollback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from release_worker.domain.changes import describe_added
from release_worker.domain.requests.rollback import OnMissing
from release_worker.errors import MissingDependencies
from release_worker.state.differences import Difference
from release_worker.state.providers import TOLD, Additions, count_unprovided, find_additions, unprovided
from release_worker.state.states import State

KINDS = ("tools", "resources")
PROVIDERS = ("deployment", "system")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The decision: what is left out, what is provided again, and what the caller should know. `missing`: by kind, what
    nothing would provide; `refusal`: why the rollback cannot be."""

    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    additions: Additions = field(default_factory=Additions)
    warnings: tuple[str, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refusal: MissingDependencies | None = None

    @property
    def added(self) -> dict[str, Difference]:
        """What is provided again, by component."""
        definitions = [f"{kind}/{name}" for kind in ("assets", *KINDS) for name in getattr(self.additions, kind)]
        added = {"deployment": definitions, "system": [f"prompts/{name}" for name in self.additions.prompts]}
        return {name: Difference(describe_added(keys), keys) for name, keys in added.items() if keys}


def settle_dependencies(
    connection: Connection, on_missing: OnMissing, *, selected: State, live: State, snapshot: State
) -> Dependencies:
    """Apply `on_missing` to what the restored toolset would list and nothing would provide.

    `selected` is what is to be restored, `snapshot` all that the target holds. A URN that nothing provided when the
    release was captured either is no loss: it is put back, with a warning. The decision has a refusal, which lists all,
    for `fail`, and for `recreate` if the snapshot has nothing to provide it from.
    """
    after = selected.over(live)
    missing: dict[str, tuple[str, ...]] = {}
    warnings: list[str] = []
    sources = {kind: snapshot if kind in selected else live for kind in KINDS}
    as_before = [kind for kind in KINDS if all(sources[kind][name] == after[name] for name in PROVIDERS)]
    counted = count_unprovided(
        connection, [kind for kind in as_before if kind in selected], listed=after, sources=after
    )
    for kind in KINDS:
        before = sources[kind]
        note = f"these {kind} stay listed, but nothing will provide them any more"
        if kind in selected:
            note = f"nothing provided these {kind} when the release was captured"
        if kind in as_before:
            missing[kind] = ()
            warnings += _listing(note, *counted.get(kind, ()))
            continue
        gone = unprovided(connection, kind, listed=after, sources=after)
        never: tuple[str, ...] = ()
        if gone and (before is live or _captured_its_source(snapshot)):
            never = unprovided(connection, kind, listed=after, sources=before)
        lost = tuple(sorted(set(gone) - set(never)))
        warnings += _listing(note, never if kind in selected else lost)
        missing[kind] = lost if kind in selected else ()
    if not any(missing.values()):
        return Dependencies(warnings=tuple(warnings), missing=missing)
    decided = _decide(connection, on_missing, missing, live=live, snapshot=snapshot)
    return replace(decided, warnings=(*warnings, *decided.warnings))


def _captured_its_source(snapshot: State) -> bool:
    return snapshot.parameters["target_source_state_id"] is not None


def _decide(
    connection: Connection,
    on_missing: OnMissing,
    missing: Mapping[str, tuple[str, ...]],
    *,
    live: State,
    snapshot: State,
) -> Dependencies:
    match on_missing:
        case "fail":
            return Dependencies(missing=missing, refusal=_missing_dependencies(missing))
        case "skip":
            skipped = {kind: urns for kind, urns in missing.items() if urns}
            notes = [note for kind, urns in skipped.items() for note in _listing(f"skipped {kind}", urns)]
            return Dependencies(skipped=skipped, warnings=tuple(notes), missing=missing)
        case "recreate":
            additions = find_additions(connection, **missing, live=live, snapshot=snapshot)
            if left := additions.short_of(missing):
                return Dependencies(missing=missing, refusal=_missing_dependencies(left))
            notes = [note for kind, urns in missing.items() for note in _listing(f"provided again: {kind}", urns)]
            return Dependencies(additions=additions, warnings=tuple(notes), missing=missing)


def _missing_dependencies(missing: Mapping[str, tuple[str, ...]]) -> MissingDependencies:
    tools, resources = (list(missing.get(kind, ())) for kind in KINDS)
    return MissingDependencies(
        f"nothing would provide {_shortened([*tools, *resources])}", tools=tools, resources=resources
    )


def _listing(note: str, urns: Sequence[str] = (), number: int | None = None) -> list[str]:
    return [f"{note}: {_shortened(urns, number)}"] if urns else []


def _shortened(urns: Sequence[str], number: int | None = None) -> str:
    """The first ten of so many, by default of these."""
    number = len(urns) if number is None else number
    more = f" and {number - TOLD} more" if number > TOLD else ""
    return ", ".join(urns[:TOLD]) + more


def still_missing(connection: Connection, dependencies: Dependencies, live: State) -> list[str]:
    """The URNs that were to be provided again, and are not provided by live state now."""
    additions = dependencies.additions
    wanted = {"tools": {*additions.tools, *additions.prompts.values()}, "resources": set(additions.resources)}
    return [
        urn
        for kind, urns in wanted.items()
        if urns
        for urn in unprovided(connection, kind, listed=live, sources=live)
        if urn in urns
    ]
