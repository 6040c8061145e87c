"""The product's own edits, as its client makes them: each in one transaction, and again if others hold what
it needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from uuid_utils.compat import uuid7

from release_worker.domain.editing.edits import Edited, OrganizationEdit, ProjectEdit, ToolsetEdit
from release_worker.domain.editing.owners import Added, NewToolset
from release_worker.domain.openapi.reading import written
from release_worker.domain.openapi.tools import read_openapi
from release_worker.domain.owner_name import OwnerName
from release_worker.errors import PermanentError, TransientError
from release_worker.operations.editing.adding import add_toolset
from release_worker.operations.editing.editing import edit_organization, edit_project, edit_toolset
from release_worker.operations.editing.import_openapi import Target, import_openapi
from release_worker.state.registry import built_in_components
from release_worker.store.engine import ledger_transaction
from tests.interleavings.actions import Answer, Edit, Performance
from tests.interleavings.scene import A, B, S, Scene, Y
from tests.interleavings.stops import LONGEST
from tests.support.openapi import minimal

DEPLOYED = {
    "tools": [{"urn": urn, "name": urn, "definition": 7} for urn in (A, S)],
    "assets": [{"kind": "function", "slug": "f", "name": "F", "sha256": "0" * 64, "config": 7}],
}


@dataclass(frozen=True)
class OwnEdit(Edit):
    """One transaction of the product's. It is of the toolset `one`, or of what that shares."""

    make: Callable[[Connection, Scene], Edited | Added] | None = None
    player = "worker"

    def prepare(self, _engine: Engine, scene: Scene) -> Performance:
        make = self.make
        assert make is not None

        def perform(own_engine: Engine, put_off: Callable[[], None]) -> Answer:
            give_up = time.monotonic() + LONGEST
            while True:
                try:
                    with ledger_transaction(own_engine) as connection:
                        made = make(connection, scene)
                    return {"error": None, **_told(made)}
                except TransientError:
                    put_off()
                    if time.monotonic() > give_up:
                        raise
                    time.sleep(0.001)
                except PermanentError as error:
                    return {"error": error.as_record()}

        return perform


def _told(made: Edited | Added) -> Answer:
    if isinstance(made, Added):
        return {"path": made.path, "created": made.created}
    changes = {name: changed.as_json() for name, changed in made.changes.items()}
    # Not the warnings: what provides is not held by who edits a list, so they tell of the moment they were looked for.
    return {"path": made.path, "changes": changes}


def _of_one(label: str, scope: str, **fields: Any) -> OwnEdit:
    edit = ToolsetEdit.model_validate(fields)

    def make(connection: Connection, scene: Scene) -> Edited:
        return edit_toolset(connection, built_in_components(), str(scene.ids["one"]), edit)

    return OwnEdit(label, scope, (), frozenset(), make=make)


def _add_toolset(connection: Connection, _scene: Scene) -> Added:
    return add_toolset(connection, NewToolset(path="acme/shop/four"), uuid7(), if_missing=False)


def _rename_organization(connection: Connection, _scene: Scene) -> Edited:
    name = OwnerName(organization="acme")
    return edit_organization(connection, built_in_components(), name, OrganizationEdit(slug="ajax", name="Ajax"))


def _rename_project(connection: Connection, _scene: Scene) -> Edited:
    name = OwnerName(project="acme/shop")
    return edit_project(connection, built_in_components(), name, ProjectEdit(slug="store", name="Store"))


def _import(connection: Connection, scene: Scene) -> Edited:
    target = Target(str(scene.ids["one"]))
    return import_openapi(connection, built_in_components(), target, read_openapi(written(minimal())))


OWN_EDITS = (
    _of_one("edit the list ourselves", "toolset", add_tools=[Y], remove_tools=[A], tool_order=[S]),
    _of_one("rename the toolset ourselves", "toolset", slug="eins", name="Eins", set_settings={"x": 1}),
    _of_one(
        "edit prompts ourselves",
        "project",
        set_prompts={"q": "ours", "p": {"prompt": "ours", "engine": "jinja"}},
        set_config={"k": 9},
    ),
    _of_one("deploy ourselves", "project", deploy=DEPLOYED),
    _of_one("vary for one ourselves", "toolset", set_variations={S: {"own": 1}}, remove_variations=[A]),
    _of_one(
        "vary for all ourselves", "organization", set_global_variations={B: {"own": 1}}, remove_global_variations=[Y]
    ),
    _of_one(
        "edit everything ourselves",
        "organization",
        description="ours",
        add_tools=[Y],
        remove_resources=["resources:function:f:r"],
        set_config={"k": 9},
        set_variations={S: {"own": 1}},
        set_global_variations={B: {"own": 1}},
        deploy=DEPLOYED,
    ),
    OwnEdit("import ourselves", "project", (), frozenset(), make=_import),
    OwnEdit("add a toolset ourselves", "project", (), frozenset(), make=_add_toolset),
    OwnEdit("rename the project ourselves", "project", (), frozenset(), make=_rename_project),
    OwnEdit("rename the organization ourselves", "organization", (), frozenset(), make=_rename_organization),
)
