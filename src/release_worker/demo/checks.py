"""What the demo claims, each verified against the database by other means than the product's."""

from dataclasses import dataclass
from typing import Any

from release_worker.demo import app
from release_worker.demo.catalogue import read_catalogue
from release_worker.demo.counts import between, recorded
from release_worker.demo.database import Database
from release_worker.demo.live import LiveState, read_live_state
from release_worker.domain.changes import ComponentChanges

# What data/README.md says of the catalogues.
TOOLS = {"3.17": 966, "3.18": 980, "3.19": 1039}
ADDED_SINCE_3_17 = 73
CHANGED_SINCE_3_17 = 13

_RELEASES = """
    SELECT r.release_number, cardinality(v.tool_urns), before.release_number, r.digest
    FROM ours.toolset_releases r JOIN ours.toolset_versions v ON v.id = r.toolset_version_id
    LEFT JOIN ours.toolset_releases before ON before.id = r.predecessor_id
    WHERE r.toolset_id = %(toolset)s ORDER BY r.release_number
"""
_CURRENT = """
    SELECT release_number FROM ours.toolset_releases
    WHERE id = (SELECT current_release_id FROM ours.toolsets WHERE id = %(toolset)s)
"""
_LATEST_CHANGES = """
    SELECT changes FROM ours.toolset_rollbacks WHERE toolset_id = %(toolset)s ORDER BY created_at DESC LIMIT 1
"""
_GONE_FROM_LIST = """
    SELECT count(*)
    FROM ours.toolset_releases r JOIN ours.toolset_versions v ON v.id = r.toolset_version_id, unnest(v.tool_urns) AS urn
    WHERE r.toolset_id = %(toolset)s AND r.kind = 'backup'
      AND urn NOT IN (SELECT tool_urn FROM ours.toolset_tools WHERE toolset_id = %(toolset)s)
"""
_PUT_BACK = """
    SELECT count(*)
    FROM ours.toolset_releases r JOIN ours.source_states s ON s.id = r.source_state_id,
         jsonb_each(s.deployment_snapshot -> 'tools') AS before (urn, tool)
         JOIN ours.tool_definitions live USING (urn)
    WHERE r.toolset_id = %(toolset)s AND r.kind = 'backup'
      AND live.deployment_id = (SELECT active_deployment_id FROM ours.projects WHERE id = %(project)s)
      AND live.definition <> tool -> 'definition'
"""
_ADDED_LATER = """
    SELECT (SELECT count(*) FROM ours.prompt_templates WHERE project_id = %(project)s AND deleted_at IS NULL)
         + (SELECT count(*) FROM ours.system_configs WHERE project_id = %(project)s)
         + (SELECT count(*) FROM ours.variations WHERE organization_id = %(organization)s)
"""
_EDITS = """
    SELECT 'name' FROM ours.toolsets WHERE id = %(toolset)s AND name = %(name)s
    UNION ALL
    SELECT 'prompt' FROM ours.prompt_templates
    WHERE project_id = %(project)s AND name = 'triage' AND prompt = %(prompt)s AND deleted_at IS NULL
    UNION ALL
    SELECT 'variation' FROM ours.variations WHERE toolset_id = %(toolset)s AND tool_urn = %(varied)s
    UNION ALL
    SELECT 'tools' WHERE NOT EXISTS (
        SELECT FROM ours.toolset_tools WHERE toolset_id = %(toolset)s AND tool_urn = ANY (%(not_listed)s))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """A claim, which holds if what was found is what was expected: a number, a text, None or a list of them."""

    when: str
    claim: str
    expected: Any
    found: Any

    @property
    def ok(self) -> bool:
        return bool(self.expected == self.found)


def check_releases(database: Database) -> list[Check]:
    """After the fourth release."""
    expected = [TOOLS[version] for version in ("3.17", "3.17", "3.18", "3.19")]
    listed = [tools for _, tools, _, _ in database.rows(_RELEASES)]
    return [Check("released", "tools in each", expected, listed)]


def check_plan(database: Database, edited: LiveState) -> list[Check]:
    """After the plan of the rollback; `edited` is the live state before it."""
    when = "planned"
    return [
        Check(when, "live state has the digest it had", edited.digest, read_live_state(database).digest),
        Check(when, "number of releases", 4, len(database.rows(_RELEASES))),
    ]


def check_rollback(database: Database, edited: LiveState) -> list[Check]:
    """After the rollback to release 1; `edited` is the live state before it."""
    when = "rolled back"
    live = read_live_state(database)
    return [
        Check(when, "digest of the live rows is release 1's", _digest(database, 1), live.digest),
        Check(when, "digest of the rows before is backup 5's", _digest(database, 5), edited.digest),
        Check(when, "current release", 1, database.value(_CURRENT)),
        *check_catalogue(database, "3.17", when=when),
        Check(when, "tools removed from the list", ADDED_SINCE_3_17, database.value(_GONE_FROM_LIST)),
        Check(when, "definitions put back", CHANGED_SINCE_3_17, database.value(_PUT_BACK)),
        Check(when, "prompts, configuration, variations left", 0, database.value(_ADDED_LATER)),
        _check_record(database, edited, live, when),
    ]


def check_undo(database: Database, restored: LiveState) -> list[Check]:
    """After the rollback to the backup; `restored` is the live state before it."""
    when = "undone"
    live = read_live_state(database)
    return [
        Check(when, "digest of the live rows is backup 5's", _digest(database, 5), live.digest),
        Check(when, "current release", 5, database.value(_CURRENT)),
        Check(when, "tools in the list", TOOLS["3.19"] - len(app.NOT_LISTED), len(live.contents["tools"]["urns"])),
        Check(when, "edits that are live again", ["name", "prompt", "tools", "variation"], _edits(database)),
        _check_definitions(live, "3.19", when),
        _check_record(database, restored, live, when),
    ]


def check_records(database: Database) -> list[Check]:
    """At the end."""
    releases = database.rows(_RELEASES)
    deployments = database.value("SELECT count(*) FROM ours.deployments")
    unfinished = database.value("SELECT count(*) FROM ours.release_requests WHERE status <> 'succeeded'")
    return [
        Check("at the end", "release numbers", [1, 2, 3, 4, 5], [number for number, _, _, _ in releases]),
        Check("at the end", "what each was made after", [None, 1, 2, 3, 4], [before for _, _, before, _ in releases]),
        Check("at the end", "deployments: the app's three, none rebuilt", 3, deployments),
        Check("at the end", "requests that did not succeed", 0, unfinished),
    ]


def check_catalogue(database: Database, version: str, *, when: str) -> list[Check]:
    """The toolset serves exactly the tools of a catalogue, in its order and as it defines them."""
    live = read_live_state(database)
    urns = live.contents["tools"]["urns"]
    in_place = sum(urn == own for urn, own in zip(read_catalogue(version).tools, urns, strict=False))
    return [
        Check(when, "tools in the list", TOOLS[version], len(urns)),
        Check(when, f"tools in the order of {version}", TOOLS[version], in_place),
        _check_definitions(live, version, when),
    ]


def _check_definitions(live: LiveState, version: str, when: str) -> Check:
    deployment = live.contents["deployment"] or {"tools": {}}
    defined = {urn: (tool["name"], tool["definition"]) for urn, tool in deployment["tools"].items()}
    catalogue = read_catalogue(version).tools
    different = [urn for urn in {**defined, **catalogue} if defined.get(urn) != catalogue.get(urn)]
    return Check(when, f"definitions that differ from the file of {version}", [], different)


def _check_record(database: Database, before: LiveState, after: LiveState, when: str) -> Check:
    """What the rollback recorded is what became of the rows."""
    changes = database.value(_LATEST_CHANGES)
    noted = recorded({name: ComponentChanges.model_validate(change) for name, change in changes.items()})
    rows = between(before, after)
    wrong = [
        f"{section}: recorded {noted.get(section)}, rows {rows.get(section)}"
        for section in {**noted, **rows}
        if noted.get(section) != rows.get(section)
    ]
    return Check(when, "recorded changes that the rows do not show", [], wrong)


def _digest(database: Database, number: int) -> Any:
    return next((digest for found, _, _, digest in database.rows(_RELEASES) if found == number), None)


def _edits(database: Database) -> list[str]:
    found = database.rows(
        _EDITS, name=app.NEW_NAME, prompt=app.REWORDED, varied=app.VARIED, not_listed=list(app.NOT_LISTED)
    )
    return sorted(edit for (edit,) in found)
