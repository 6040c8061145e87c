"""A toolset's history as it went: its releases, and the rollbacks between them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.queries.releases import MENTIONS, RollbackMention, mention
from release_worker.store.marks import mark_of
from release_worker.store.owners.relations import CURRENT_RELEASE
from release_worker.store.statements import parsed

ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of a history: before the release of this number, by this actor, of these kinds (those of releases, and
    `rollback`), made from `since` on and before `until`, and with these labels: with this value, or if it is None with
    any. What is None or empty chooses nothing."""

    before: int | None = None
    actor: str | None = None
    kinds: Sequence[str] = ()
    labels: Mapping[str, str | None] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


ALL = Chosen()


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """A release in a list. `tools_added` and `tools_removed` are counted from its predecessor; `override_freeze`:
    why it was made during a freeze, if that was said. `rolled_back_to` are the rollbacks that went back to it, the
    newest first."""

    release: Release
    tools: int
    resources: int
    tools_added: int
    tools_removed: int
    current: bool
    mark: str | None
    pinned: bool
    override_freeze: str | None
    rolled_back_to: tuple[RollbackMention, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Releases, the newest first, and the rollbacks of the same time. `next_before` is what `before` must be to read
    on; None if this is the end."""

    releases: tuple[ListedRelease, ...]
    rollbacks: tuple[RollbackMention, ...]
    next_before: int | None


def timeline(connection: Connection, subject: Subject, *, limit: int, chosen: Chosen = ALL) -> Timeline:
    """The newest `limit` releases that are chosen, and as many rollbacks at most, made since the oldest of them."""
    releases = _releases(connection, subject, limit, chosen)
    more = len(releases) == limit
    oldest = releases[-1].release if more else None
    wanted = not chosen.labels and (not chosen.kinds or ROLLBACK in chosen.kinds)
    rollbacks = _rollbacks(connection, subject, limit, chosen, oldest) if wanted else []
    return Timeline(tuple(releases), tuple(rollbacks), oldest.release_number if oldest else None)


def _releases(connection: Connection, subject: Subject, limit: int, chosen: Chosen) -> list[ListedRelease]:
    query = f"""
        SELECT listed.*, v.version AS toolset_version, cardinality(v.tool_urns) AS tools,
               cardinality(v.resource_urns) AS resources,
               {_counted("v", "before")} AS tools_added, {_counted("before", "v")} AS tools_removed,
               listed.id IS NOT DISTINCT FROM {CURRENT_RELEASE} AS current, {mark_of("listed.id")} AS mark,
               coalesce(listed.labels -> 'pinned' = 'true', false) AS pinned,
               CASE WHEN listed.kind <> 'backup' THEN (
                   SELECT payload ->> 'override_freeze' FROM ours.release_requests WHERE id = listed.request_id
               ) END AS override_freeze
        FROM (SELECT id, toolset_id, release_number, kind, toolset_version_id, source_state_id,
                     global_variations_version_id, toolset_variations_version_id, digest, predecessor_id, notes,
                     labels, released_by, request_id, created_at
              FROM ours.toolset_releases
              WHERE toolset_id = :toolset_id
                AND (CAST(:before AS bigint) IS NULL OR release_number < :before)
                AND (CAST(:actor AS text) IS NULL OR released_by = :actor)
                AND (cardinality(CAST(:kinds AS text[])) = 0 OR kind = ANY (CAST(:kinds AS text[])))
                AND (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
                AND (CAST(:until AS timestamptz) IS NULL OR created_at < :until)
                AND NOT EXISTS (
                    SELECT FROM jsonb_each_text(CAST(:labels AS jsonb)) AS wanted
                    WHERE labels ->> wanted.key IS DISTINCT FROM coalesce(wanted.value, labels ->> wanted.key)
                       OR NOT jsonb_exists(labels, wanted.key))
              ORDER BY release_number DESC LIMIT :limit) AS listed
        JOIN ours.toolset_versions v ON v.id = listed.toolset_version_id
        LEFT JOIN ours.toolset_releases p ON p.id = listed.predecessor_id
        LEFT JOIN ours.toolset_versions before ON before.id = p.toolset_version_id
        ORDER BY listed.release_number DESC
    """
    rows = connection.execute(parsed(query), {**_parameters(subject, limit, chosen), "before": chosen.before}).all()
    came_of = _rolled_back_to(connection, [row.id for row in rows])
    return [_listed(dict(row._mapping), came_of[row.release_number]) for row in rows]


def _counted(of: str, without: str) -> str:
    """SQL: how many tools the one version has and the other has not."""
    return f"""CASE WHEN v.id IS DISTINCT FROM before.id THEN (
                   SELECT count(*) FROM (
                       SELECT unnest({of}.tool_urns) EXCEPT SELECT unnest({without}.tool_urns)) AS urns) ELSE 0 END"""


def _listed(fields: dict[str, Any], rolled_back_to: Sequence[RollbackMention]) -> ListedRelease:
    counts = ("tools", "resources", "tools_added", "tools_removed", "current", "mark", "pinned", "override_freeze")
    about = {name: fields.pop(name) for name in counts}
    return ListedRelease(Release(**fields), **about, rolled_back_to=tuple(rolled_back_to))


def _rolled_back_to(connection: Connection, releases: Sequence[UUID]) -> Mapping[int | None, list[RollbackMention]]:
    """By number, the rollbacks to these releases of a toolset."""
    query = f"{MENTIONS} WHERE r.to_release_id = ANY (CAST(:releases AS uuid[])) ORDER BY r.created_at DESC"
    found: dict[int | None, list[RollbackMention]] = defaultdict(list)
    for row in connection.execute(parsed(query), {"releases": list(releases)}):
        found[row.to_release_number].append(mention(row))
    return found


def _rollbacks(
    connection: Connection, subject: Subject, limit: int, chosen: Chosen, oldest: Release | None
) -> list[RollbackMention]:
    """Those after the oldest release that is listed, and before the one that the page before ended with."""
    where = """
        WHERE r.toolset_id = :toolset_id
          AND (CAST(:actor AS text) IS NULL OR r.rolled_back_by = :actor)
          AND (CAST(:since AS timestamptz) IS NULL OR r.created_at >= :since)
          AND (CAST(:until AS timestamptz) IS NULL OR r.created_at < :until)
          AND (CAST(:oldest AS timestamptz) IS NULL OR r.created_at >= :oldest)
          AND (CAST(:before AS bigint) IS NULL OR r.created_at < (
              SELECT created_at FROM ours.toolset_releases
              WHERE toolset_id = :toolset_id AND release_number >= :before ORDER BY release_number LIMIT 1))
        ORDER BY r.created_at DESC LIMIT :limit
    """
    parameters = _parameters(subject, limit, chosen)
    parameters |= {"before": chosen.before, "oldest": oldest and oldest.created_at}
    return [mention(row) for row in connection.execute(parsed(MENTIONS + where), parameters)]


def _parameters(subject: Subject, limit: int, chosen: Chosen) -> dict[str, Any]:
    return {
        "toolset_id": subject.toolset_id,
        "limit": limit,
        "actor": chosen.actor,
        "kinds": [*chosen.kinds],
        "since": chosen.since,
        "until": chosen.until,
        "labels": canonical_json.dumps(dict(chosen.labels)),
    }
