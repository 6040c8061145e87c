"""The history as the database has it: raw rows, and what each stored content says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text

from tests.faults.commit_log import read_log
from tests.faults.estate import Place
from tests.faults.held_edits import MEMBERS, RESOURCES
from tests.support.exact_json import digest
from tests.support.live_state import LiveState, live_state
from tests.support.records import captured_states

TORN = "torn"
COPYING = ("stage", "publish", "discard")
ROLLBACKS = ("rollback", "repair", "apply_plan")  # the kinds of requests that roll back
Epoch = int | str | None  # None: the component says none; TORN: its places disagree


@dataclass(frozen=True, slots=True)
class Part:
    """A row of content: its digest as stored and as computed from what is in it, and the epoch of each component."""

    stored: str
    computed: str
    epochs: Mapping[str, Epoch]


@dataclass(frozen=True, slots=True)
class GoneRelease:
    """A release that was deleted, as it was made."""

    id: UUID
    toolset_id: UUID
    release_number: int
    kind: str
    digest: str
    predecessor_id: UUID | None
    request_id: str | None


@dataclass(frozen=True)
class Evidence:
    """All rows of one database, read at one moment, when nobody writes any more. Releases by number, requests and the
    log by `seq`, the others by id. `gone`: the releases that were there once, by id; `held`: what each release that is
    there holds; `live`: what each toolset has."""

    requests: Sequence[Row[Any]]
    releases: Sequence[Row[Any]]
    rollbacks: Sequence[Row[Any]]
    versions: Sequence[Row[Any]]
    current: Mapping[UUID, UUID | None]
    parts: Mapping[UUID, Part]
    log: Sequence[Row[Any]]
    gone: Mapping[UUID, GoneRelease]
    held: Mapping[UUID, LiveState]
    marks: Sequence[Row[Any]]
    live: Mapping[UUID, LiveState]
    hanging: Sequence[str] = field(default=())

    @property
    def request_by_id(self) -> dict[str, Row[Any]]:
        return {row.id: row for row in self.requests}

    @property
    def every_release(self) -> list[Any]:
        """Those that are there and those that were."""
        return sorted([*self.releases, *self.gone.values()], key=lambda row: (str(row.toolset_id), row.release_number))

    def rollback_of(self, request: Row[Any]) -> Mapping[str, Any] | None:
        """The rollback that was asked for with this request, if it was for one: itself, that of the plan that it
        applies, or to the current release."""
        match request.kind:
            case "rollback":
                return dict(request.payload)
            case "repair":
                return {**request.payload, "to": "current", "release_number": None, "allow_bad": True, "dry_run": False}
            case "apply_plan":
                plan = self.request_by_id[request.payload["plan_id"]]
                target = {"to": None, "release_number": plan.result["to_release_number"]}
                return {**plan.payload, **target, "dry_run": False}
        return None


def gather(engine: Engine, places: Sequence[Place]) -> Evidence:
    """Read everything."""
    held = {place.id: captured_states(engine, place.toolset) for place in places}
    live = {place.id: live_state(engine, place.toolset) for place in places}
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        parts: dict[UUID, Part] = {}
        for query, read in _PARTS:
            for row in connection.execution_options(yield_per=200).execute(text(query)):
                parts[row.id] = read(row)
        releases = _rows(connection, "SELECT * FROM toolset_releases ORDER BY toolset_id, release_number")
        log = read_log(connection)
        return Evidence(
            log=log,
            gone=_gone(log),
            held={row.id: held[row.toolset_id][row.release_number] for row in releases},
            live=live,
            marks=_rows(connection, "SELECT * FROM release_marks ORDER BY id"),
            requests=_rows(connection, "SELECT * FROM release_requests ORDER BY seq"),
            releases=releases,
            rollbacks=_rows(connection, "SELECT * FROM toolset_rollbacks ORDER BY id"),
            versions=_rows(
                connection,
                "SELECT id, toolset_id, version, predecessor_id FROM toolset_versions ORDER BY toolset_id, version",
            ),
            current={
                row.id: row.current_release_id
                for row in _rows(connection, "SELECT id, current_release_id FROM toolsets")
            },
            parts=parts,
        )


def _gone(log: Sequence[Row[Any]]) -> dict[UUID, GoneRelease]:
    """As they were made: what is deleted may have had its predecessor mended before."""
    deleted = {entry.what["id"] for entry in log if entry.kind == "gone"}
    return {
        UUID(entry.what["id"]): GoneRelease(
            id=UUID(entry.what["id"]),
            toolset_id=entry.toolset_id,
            release_number=entry.what["release_number"],
            kind=entry.what["kind"],
            digest=entry.what["digest"],
            predecessor_id=id_or_none(entry.what["predecessor_id"]),
            request_id=entry.what["request_id"],
        )
        for entry in log
        if entry.kind == "release" and entry.what["id"] in deleted
    }


def id_or_none(written: str | None) -> UUID | None:
    return None if written is None else UUID(written)


def _rows(connection: Connection, query: str) -> list[Row[Any]]:
    return list(connection.execute(text(query)))


def _version(row: Row[Any]) -> Part:
    tools, resources = _listed(row.tool_urns, row.tool_positions), _listed(row.resource_urns, row.resource_positions)
    settings = {"name": row.name, "description": row.description, "settings": row.settings}
    computed = digest({"tools": digest(tools), "resources": digest(resources), "settings": digest(settings)})
    epochs = {
        "tools": _of_pairs(tools, MEMBERS),
        "resources": _of_pairs(resources, RESOURCES),
        "settings": agreed([row.settings.get("epoch"), _number(row.description)]),
    }
    return Part(row.digest, computed, epochs)


def _source(row: Row[Any]) -> Part:
    deployment, system = row.deployment_snapshot, row.system_snapshot
    computed = digest({"deployment": digest(deployment), "system": digest(system)})
    definitions = [
        item["definition"].get("epoch") for section in ("tools", "resources") for item in deployment[section].values()
    ]
    prompt = system["prompts"].get("epoch", {}).get("prompt")
    epochs = {
        "deployment": agreed(definitions),
        "system": agreed([system["config"].get("epoch"), _number(prompt)]),
    }
    return Part(row.digest, computed, epochs)


def _variations(row: Row[Any]) -> Part:
    said = [config.get("epoch") for config in row.config.values()]
    whole = set(row.config) == set(MEMBERS[0])
    scope = "global_variations" if row.scope == "global" else "toolset_variations"
    return Part(row.digest, digest(row.config), {scope: agreed(said) if whole else TORN})


_PARTS: Sequence[tuple[str, Callable[[Row[Any]], Part]]] = (
    ("SELECT * FROM toolset_versions", _version),
    ("SELECT * FROM source_states", _source),
    ("SELECT * FROM variation_versions", _variations),
)


def agreed(said: Sequence[Epoch]) -> Epoch:
    """The one epoch that all places say; None where there are no places."""
    distinct = set(said)
    if len(distinct) > 1:
        return TORN
    return distinct.pop() if distinct else None


def _listed(urns: list[str], positions: list[int] | None) -> dict[str, Any]:
    return {"urns": urns, "positions": list(range(len(urns))) if positions is None else positions}


def _of_pairs(listed: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> Epoch:
    """Both of a pair are listed, at one position, or neither; one epoch where only one pair is."""
    placed = dict(zip(listed["urns"], listed["positions"], strict=True))
    said = [agreed([placed.get(first), placed.get(second)]) for first, second in pairs]
    if TORN in said:
        return TORN
    epochs = [one for one in said if one is not None]
    return epochs[0] if len(epochs) == 1 else None


def _number(written: str | None) -> int | None:
    return None if written is None else int(written)
