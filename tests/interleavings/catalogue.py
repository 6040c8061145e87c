"""The actions, and which of their pairs are tried."""

from dataclasses import replace

import pytest

from tests.interleavings.actions import Action, Edit, Operation, Planned
from tests.interleavings.own_edits import OWN_EDITS, OwnEdit
from tests.interleavings.scene import A, B, S, Y

ALLOWED = {"allow_shared_impact": True}
LISTS = ["tools", "resources"]

OPERATIONS = (
    Operation("release one", "one", "create_release"),
    Operation("release two", "two", "create_release"),
    Operation("roll one back", "one", "rollback", {"release_number": 1, **ALLOWED}),
    Operation("roll one's lists back", "one", "rollback", {"release_number": 2, "components": LISTS}),
    Operation(
        "roll one's deployment back",
        "one",
        "rollback",
        {"release_number": 1, "components": ["deployment"], **ALLOWED},
    ),
    Operation(
        "recreate", "one", "rollback", {"release_number": 1, "components": LISTS, "on_missing": "recreate", **ALLOWED}
    ),
    Operation("skip", "one", "rollback", {"release_number": 1, "components": LISTS, "on_missing": "skip"}),
    Operation("prune one", "one", "prune", {"keep": 1}),
    Operation("pin one", "one", "pin", {"release_number": 3}),
    Operation("stage one", "one", "stage"),
    Operation("publish one", "one", "publish"),
    Operation("discard one's copy", "one", "discard"),
    Operation("set one's mode", "one", "set_mode", {"mode": "staging"}),
    Operation("import into one", "one", "import_bundle", ALLOWED, bundle_of=("two", 1)),
    Operation("release one's copy", "draft", "create_release"),
    Operation("stage two", "two", "stage"),
    Operation("mark one bad", "one", "mark", {"release_number": 1, "mark": "bad"}),
    Operation("repair one", "one", "repair", ALLOWED),
    Planned("apply one's plan", "one", "apply_plan", {"release_number": 1, **ALLOWED}),
    Operation("roll two back", "two", "rollback", {"release_number": 1}),
    Operation("roll far back", "far", "rollback", {"release_number": 1}),
    Operation("release one at once", "one", "create_release", first=True),
    Operation("release two at once", "two", "create_release", first=True),
)

_ACTIVE = "(SELECT active_deployment_id FROM projects WHERE id = :shop)"
_OWN = "(SELECT id FROM deployments WHERE idempotency_key = 'app')"


def _list(toolset: str, urn: str, position: int) -> str:
    return f"""
        INSERT INTO toolset_tools (toolset_id, tool_urn, position) VALUES ({toolset}, '{urn}', {position})
        ON CONFLICT (toolset_id, tool_urn) DO UPDATE SET position = excluded.position
    """


def _vary(toolset: str, urn: str) -> str:
    return f"""
        INSERT INTO variations (organization_id, toolset_id, tool_urn, config)
        VALUES (:acme, {toolset}, '{urn}', '{{"app": 1}}')
        ON CONFLICT (organization_id, toolset_id, tool_urn) DO UPDATE SET config = excluded.config
    """


def _copied(table: str, columns: str) -> str:
    source = "(SELECT cloned_from FROM deployments WHERE idempotency_key = 'app')"
    return f"""
        INSERT INTO {table} (deployment_id, {columns})
        SELECT {_OWN}, {columns} FROM {table} WHERE deployment_id = {source}
    """


REWRITE_LIST = Edit(
    "rewrite the list",
    "toolset",
    ("DELETE FROM toolset_tools WHERE toolset_id = :one", _list(":one", Y, 0), _list(":one", S, 1)),
    frozenset({"live/one/tools"}),
)
EDIT_DEFINITION = Edit(
    "edit a definition",
    "project",
    (
        f"UPDATE tool_definitions SET definition = '2' WHERE deployment_id = {_ACTIVE} AND urn = '{S}'",
        f"UPDATE deployment_assets SET sha256 = 'app' WHERE deployment_id = {_ACTIVE} AND slug = 'f'",
    ),
    frozenset({"deployments"}),
)
DEPLOY = Edit(
    "deploy",
    "project",
    (
        """
        INSERT INTO deployments (project_id, status, cloned_from, idempotency_key)
        SELECT id, 'completed', active_deployment_id, 'app' FROM projects WHERE id = :shop
        """,
        _copied("deployment_assets", "kind, slug, name, sha256, config"),
        _copied("tool_definitions", "urn, name, description, definition"),
        _copied("resource_definitions", "urn, name, description, definition"),
        f"UPDATE tool_definitions SET definition = '3' WHERE deployment_id = {_OWN} AND urn = '{A}'",
        f"UPDATE projects SET active_deployment_id = {_OWN} WHERE id = :shop",
    ),
    frozenset({"deployments", "live/shop/active"}),
)
EDIT_PROMPTS = Edit(
    "edit prompts",
    "project",
    (
        "UPDATE prompt_templates SET prompt = 'app' WHERE project_id = :shop AND name = 'q' AND deleted_at IS NULL",
        """
        INSERT INTO prompt_templates (project_id, name, prompt, engine) VALUES (:shop, 'p', 'app', 'mustache')
        ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO UPDATE SET prompt = excluded.prompt
        """,
        """
        INSERT INTO system_configs (project_id, key, value) VALUES (:shop, 'k', '3')
        ON CONFLICT (project_id, key) DO UPDATE SET value = excluded.value
        """,
    ),
    frozenset({"live/shop/config", "live/shop/prompts"}),
)
VARY_FOR_ALL = Edit(
    "edit global variations",
    "organization",
    (
        _vary("NULL", S),
        f"DELETE FROM variations WHERE organization_id = :acme AND toolset_id IS NULL AND tool_urn = '{Y}'",
        _vary("NULL", B),
    ),
    frozenset({"live/acme/global_variations"}),
)
VARY_FOR_ONE = Edit(
    "edit the toolset's variations",
    "toolset",
    ("DELETE FROM variations WHERE toolset_id = :one", _vary(":one", S), _vary(":one", A)),
    frozenset({"live/one/toolset_variations"}),
)
ADD_TOOLSET = Edit(
    "add a toolset",
    "project",
    (
        """
        INSERT INTO toolsets (organization_id, project_id, slug, name) VALUES (:acme, :shop, 'three', 'Three')
        """,
        _list("(SELECT id FROM toolsets WHERE slug = 'three')", Y, 0),
        _list("(SELECT id FROM toolsets WHERE slug = 'three')", S, 1),
    ),
    frozenset({"live/three"}),
)
RENAME = Edit(
    "rename the toolset",
    "toolset",
    ("UPDATE toolsets SET slug = 'uno' WHERE id = :one", "UPDATE toolsets SET name = 'Uno' WHERE id = :one"),
    frozenset({"live/one/settings", "live/one/slug"}),
)
DELETE = Edit(
    "delete the toolset",
    "toolset",
    ("UPDATE toolsets SET deleted_at = now() WHERE id = :one",),
    frozenset({"live/one/deleted"}),
)
EDIT_COPY = Edit(
    "edit the copy",
    "copy",
    (
        "UPDATE toolsets SET description = 'app' WHERE id = :draft",
        f"UPDATE toolset_tools SET position = 9 WHERE toolset_id = :draft AND tool_urn = '{S}'",
        f"DELETE FROM variations WHERE toolset_id = :draft AND tool_urn = '{S}'",
        _vary(":draft", A),
    ),
    frozenset({"live/draft/settings", "live/draft/tools", "live/draft/toolset_variations"}),
)
DELETE_COPY = Edit(
    "delete the copy",
    "copy",
    ("UPDATE toolsets SET deleted_at = now() WHERE id = :draft",),
    frozenset({"live/draft/deleted"}),
)
EDIT_AND_ASK = Edit(
    "edit and ask",
    "toolset",
    (
        f"UPDATE toolset_tools SET position = 7 WHERE toolset_id = :one AND tool_urn = '{S}'",
        """
        INSERT INTO release_requests (id, kind, toolset_id, payload, requested_by)
        VALUES (gen_random_uuid(), 'create_release', :one, '{"toolset": "acme/shop/one", "actor": "app"}', 'app')
        """,
        f"UPDATE toolset_tools SET position = 8 WHERE toolset_id = :one AND tool_urn = '{A}'",
    ),
    frozenset({"live/one/tools"}),
)
FREEZE = Edit(
    "freeze the project",
    "project",
    (
        """
        INSERT INTO release_freezes (id, organization_id, project_id, starts_at, ends_at, reason, created_by)
        VALUES ('01900000-0000-7000-8000-000000000001', :acme, :shop, '2000-01-01 00:00+00', '2999-01-01 00:00+00',
                'app', 'app')
        """,
    ),
    frozenset(),
)
HOLDING_EDITS = (
    REWRITE_LIST, EDIT_DEFINITION, DEPLOY, EDIT_PROMPTS, VARY_FOR_ALL, VARY_FOR_ONE, ADD_TOOLSET, RENAME, DELETE,
    EDIT_COPY, DELETE_COPY, EDIT_AND_ASK, FREEZE,
)  # fmt: skip
BARE_EDITS = tuple(replace(edit, name=f"{edit.name} unheld", holds=False) for edit in HOLDING_EDITS)
EDITS = HOLDING_EDITS + BARE_EDITS + OWN_EDITS

ACTIONS: tuple[Action, ...] = (*OPERATIONS, *EDITS)

Pair = tuple[Action, Action]


def every_pair() -> list[Pair]:
    """All ordered pairs in which an operation or an edit of the product's takes part; what apps do to each other is
    theirs."""
    ours = (Operation, OwnEdit)
    return [
        (first, second)
        for first in ACTIONS
        for second in ACTIONS
        if isinstance(first, ours) or isinstance(second, ours)
    ]


# Those that found something once, and one of each kind besides.
_CHOSEN = (
    ("release one at once", "roll one back"),
    ("roll one back", "release one at once"),
    ("release one at once", "edit everything ourselves"),
    ("edit everything ourselves", "release one at once"),
    ("release one at once", "rewrite the list unheld"),
    ("deploy unheld", "release one at once"),
    ("release one at once", "roll far back"),
    ("release two at once", "roll one's deployment back"),
    ("prune one", "release one at once"),
    ("release one at once", "release two at once"),
    ("freeze the project unheld", "release one at once"),
    ("delete the toolset unheld", "release one at once"),
    ("roll one's lists back", "roll two back"),
    ("roll two back", "roll one's lists back"),
    ("roll one back", "rewrite the list"),
    ("rewrite the list", "roll one back"),
    ("rewrite the list unheld", "roll one's lists back"),
    ("roll one's lists back", "edit global variations unheld"),
    ("prune one", "release two"),
    ("release two", "prune one"),
    ("pin one", "roll one back"),
    ("mark one bad", "roll one back"),
    ("repair one", "roll two back"),
    ("deploy", "apply one's plan"),
    ("apply one's plan", "roll two back"),
    ("deploy", "recreate"),
    ("edit a definition", "roll one's deployment back"),
    ("edit global variations", "roll far back"),
    ("edit the toolset's variations", "release one"),
    ("add a toolset", "roll two back"),
    ("rename the toolset", "skip"),
    ("delete the toolset", "roll one back"),
    ("publish one", "edit the copy"),
    ("edit the copy", "publish one"),
    ("publish one", "edit the copy unheld"),
    ("release one's copy", "publish one"),
    ("publish one", "release one's copy"),
    ("delete the copy", "discard one's copy"),
    ("discard one's copy", "delete the copy"),
    ("discard one's copy", "stage one"),
    ("set one's mode", "publish one"),
    ("stage two", "edit a definition"),
    ("import into one", "roll far back"),
    ("deploy", "import into one"),
    ("rewrite the list", "import into one"),
    ("edit and ask unheld", "roll one's lists back"),
    ("release one", "freeze the project unheld"),
    ("freeze the project unheld", "release one"),
    ("roll one back", "freeze the project unheld"),
    ("freeze the project", "roll far back"),
    ("apply one's plan", "freeze the project"),
    ("publish one", "freeze the project unheld"),
    ("import into one", "freeze the project unheld"),
    ("edit the list ourselves", "roll one's lists back"),
    ("roll one's lists back", "edit the list ourselves"),
    ("edit the list ourselves", "rewrite the list unheld"),
    ("rewrite the list", "edit the list ourselves"),
    ("edit everything ourselves", "roll two back"),
    ("roll one back", "edit everything ourselves"),
    ("edit everything ourselves", "edit everything ourselves"),
    ("edit prompts ourselves", "repair one"),
    ("edit prompts ourselves", "edit prompts unheld"),
    ("deploy ourselves", "roll one's deployment back"),
    ("recreate", "deploy ourselves"),
    ("deploy ourselves", "edit a definition unheld"),
    ("vary for all ourselves", "roll far back"),
    ("roll far back", "vary for all ourselves"),
    ("vary for one ourselves", "release one"),
    ("add a toolset ourselves", "roll two back"),
    ("roll two back", "add a toolset ourselves"),
    ("rename the toolset ourselves", "skip"),
    ("rename the organization ourselves", "roll far back"),
    ("roll one back", "rename the project ourselves"),
    ("add a toolset ourselves", "rename the project ourselves"),
    ("rename the organization ourselves", "rename the project ourselves"),
    ("freeze the project unheld", "edit the list ourselves"),
    ("delete the toolset", "edit everything ourselves"),
    ("import ourselves", "roll one's deployment back"),
    ("roll one back", "import ourselves"),
    ("deploy", "import ourselves"),
    ("edit a definition unheld", "import ourselves"),
    ("import ourselves", "rewrite the list unheld"),
)


def chosen_pairs() -> list[Pair]:
    """A selection that takes seconds."""
    by_name = {action.name: action for action in ACTIONS}
    return [(by_name[first], by_name[second]) for first, second in _CHOSEN]


def pairs_of(config: pytest.Config) -> list[Pair]:
    """All of them, every so manieth of them, or the selection."""
    if not config.getoption("every_pair", default=False):
        return chosen_pairs()
    share, shares = map(int, config.getoption("share").split("/"))
    return every_pair()[share - 1 :: shares]
