"""The history as the database has it: raw rows, and what each stored content says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text

from tests.faults.estate import MEMBERS, RESOURCES
from tests.support.exact_json import digest

TORN = "torn"
Epoch = int | str | None  # None: the component says none; TORN: its places disagree


@dataclass(frozen=True, slots=True)
class Part:
    """A row of content: its digest as stored and as computed from what is in it, and the epoch of each component."""

    stored: str
    computed: str
    epochs: Mapping[str, Epoch]


@dataclass(frozen=True)
class Evidence:
    """All rows of one database, read at one moment. Releases by number, requests by `seq`, the others by id."""

    requests: Sequence[Row[Any]]
    releases: Sequence[Row[Any]]
    rollbacks: Sequence[Row[Any]]
    versions: Sequence[Row[Any]]
    current: Mapping[UUID, UUID | None]
    parts: Mapping[UUID, Part]
    hanging: Sequence[str] = field(default=())

    @property
    def request_by_id(self) -> dict[str, Row[Any]]:
        return {row.id: row for row in self.requests}


def gather(engine: Engine) -> Evidence:
    """Read everything, in one snapshot."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        parts: dict[UUID, Part] = {}
        for query, read in _PARTS:
            for row in connection.execution_options(yield_per=200).execute(text(query)):
                parts[row.id] = read(row)
        return Evidence(
            requests=_rows(connection, "SELECT * FROM release_requests ORDER BY seq"),
            releases=_rows(connection, "SELECT * FROM toolset_releases ORDER BY toolset_id, release_number"),
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
