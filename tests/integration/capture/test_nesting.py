"""What can be captured can be compared, restored and shown: one limit of depth, and the place where it is exceeded."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu.serialization import dumps, loads
from sqlalchemy import Engine, text

from release_worker.domain.canonical_json import DEEPEST, as_plain, too_deep
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.kinds import KINDS
from release_worker.domain.requests.rollback import RollbackResult
from release_worker.errors import UnsupportedContent
from tests.support.billing import INVOICE, LEDGER, REFUND, a_full_toolset, active_deployment
from tests.support.command_line import CommandLine, settings
from tests.support.ledger import ask, mailbox
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Flags, create_flags_table, with_plug_ins
from tests.support.records import current_number, rollbacks_of, whole_database
from tests.support.world import Toolset

Write = Callable[[Toolset, Any], object]

# By the place as an error names it: how many objects of the captured content lie around the value, and how to write it.
PLACES: dict[str, tuple[int, Write]] = {
    "settings: settings": (0, lambda billing, value: billing.edit(settings=value)),
    f"deployment: tools/{INVOICE}": (
        3,
        lambda billing, value: active_deployment(billing).edit_tool(INVOICE, definition=value),
    ),
    f"deployment: resources/{LEDGER}": (
        3,
        lambda billing, value: active_deployment(billing).edit_resource(LEDGER, definition=value),
    ),
    "deployment: assets/function/billing": (
        3,
        lambda billing, value: active_deployment(billing).edit_asset("function", "billing", config=value),
    ),
    "system: config/model": (2, lambda billing, value: billing.project.configure("model", value)),
    "system: prompts/summary": (3, lambda billing, value: billing.project.edit_prompt("summary", arguments=value)),
    f"global_variations: {INVOICE}": (1, lambda billing, value: billing.project.organization.vary(INVOICE, value)),
    f"toolset_variations: {REFUND}": (1, lambda billing, value: billing.vary(REFUND, value)),
    "flags: dark": (1, lambda billing, value: set_flag(billing, value)),
}
REGISTRY = with_plug_ins(Flags())
LIVE_CONTENT = (
    ("toolsets", "settings"),
    ("tool_definitions", "definition"),
    ("resource_definitions", "definition"),
    ("deployment_assets", "config"),
    ("system_configs", "value"),
    ("prompt_templates", "arguments"),
    ("variations", "config"),
    ("flags", "value"),
)


def set_flag(billing: Toolset, value: Any) -> None:
    billing.rows.update("flags", {"owner_id": billing.id, "name": "dark"}, value=value)


def nested(depth: int, leaf: Any) -> Any:
    """`leaf` inside so many arrays and objects, in turn."""
    for level in range(depth):
        leaf = {"inner": leaf} if level % 2 else [level, leaf]
    return leaf


def a_toolset_with_flags(engine: Engine) -> Toolset:
    create_flags_table(engine)
    billing = a_full_toolset(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO flags VALUES (:id, 'dark', 'true')"), {"id": billing.id})
    return billing


def write_arrays(billing: Toolset, write: Write, depth: int) -> None:
    """Have the value replaced by so many arrays, more than a test can write out."""
    write(billing, "replace me")
    with billing.rows.transaction() as connection:
        for table, column in LIVE_CONTENT:
            replaced = f"UPDATE {table} SET {column} = CAST(:arrays AS jsonb) WHERE {column} = '\"replace me\"'"
            connection.execute(text(replaced), {"arrays": "[" * depth + "1" + "]" * depth})


def released_by_older_software(engine: Engine, billing: Toolset) -> None:
    """Release without the triggers that came with the limit."""
    switch_triggers(engine, "DISABLE")
    release(engine, billing, registry=REGISTRY)
    switch_triggers(engine, "ENABLE")


def switch_triggers(engine: Engine, how: str) -> None:
    with engine.begin() as connection:
        for table in ("toolset_versions", "source_states", "variation_versions", "component_states"):
            connection.execute(text(f"ALTER TABLE {table} {how} TRIGGER USER"))


def worked(engine: Engine, billing: Toolset, kind: str, **fields: Any) -> RequestRecord:
    """The request as the ledger has it when a worker has done it."""
    return mailbox(engine, registry=REGISTRY).work_until_done(ask(engine, billing, kind, **fields))


def answered(done: RequestRecord) -> Any:
    """The result as Celery sends it and a client reads it."""
    assert done.status == "succeeded", done.error
    content_type, encoding, sent = dumps(as_plain(done.result), serializer="json")
    return KINDS[done.kind].result.model_validate(loads(sent, content_type, encoding))


@pytest.mark.parametrize("place", PLACES)
def test_content_at_the_limit_can_be_captured_compared_restored_and_shown(
    engine: Engine, database_url: str, place: str
) -> None:
    billing = a_toolset_with_flags(engine)
    around, write = PLACES[place]
    write(billing, nested(DEEPEST - around, "old leaf"))
    state = live_state(engine, billing)
    assert answered(worked(engine, billing, "create_release")).release_number == 1
    write(billing, nested(DEEPEST - around, "new leaf"))

    component = place.partition(":")[0]
    found = worked(engine, billing, "check_drift")
    assert answered(found).drifted
    assert list(answered(found).changes) == [component]
    planned = worked(engine, billing, "rollback", release_number=1, dry_run=True)
    assert "new leaf" in str(answered(planned).changes[component].changed)
    done = worked(engine, billing, "rollback", release_number=1)
    answer = answered(done)
    assert isinstance(answer, RollbackResult)
    assert list(answer.changes) == [component]
    assert "old leaf" in answer.model_dump_json()
    assert live_state(engine, billing) == state
    assert current_number(engine, billing) == 1
    [record] = rollbacks_of(engine, billing)
    assert list(record.changes) == [component]

    run = CommandLine(settings(database_url=database_url))
    for request in (found, planned, done):
        assert "old leaf" in str(run("requests", "show", request.id, "--json").document)
        shown = run("requests", "show", request.id)
        assert (shown.status, shown.err) == (0, "")
        assert component in shown.out


@pytest.mark.parametrize("place", PLACES)
def test_content_beyond_the_limit_is_refused_with_its_place(engine: Engine, place: str) -> None:
    billing = a_toolset_with_flags(engine)
    release(engine, billing, registry=REGISTRY)
    around, write = PLACES[place]
    write(billing, nested(DEEPEST - around + 1, 1))
    before = whole_database(engine)
    with pytest.raises(UnsupportedContent) as refused:
        release(engine, billing, registry=REGISTRY)
    assert refused.value.details["place"] == place
    assert place in str(refused.value)
    assert whole_database(engine) == before

    failed = worked(engine, billing, "create_release")
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error["type"], failed.error["details"]["place"]) == ("UnsupportedContent", place)
    assert current_number(engine, billing) == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_rollback_that_could_not_keep_what_is_nested_too_deeply_changes_nothing(engine: Engine, place: str) -> None:
    billing = a_toolset_with_flags(engine)
    release(engine, billing, registry=REGISTRY)
    around, write = PLACES[place]
    write(billing, nested(DEEPEST - around + 1, 1))
    before = whole_database(engine)
    with pytest.raises(UnsupportedContent) as refused:
        roll_back(engine, billing, 1, registry=REGISTRY)
    assert refused.value.details["place"] == place
    assert whole_database(engine) == before


@pytest.mark.parametrize("depth", [300, 4000])
@pytest.mark.parametrize("place", PLACES)
def test_deeper_content_that_older_software_captured_is_named_where_it_differs(
    engine: Engine, place: str, depth: int
) -> None:
    billing = a_toolset_with_flags(engine)
    _, write = PLACES[place]
    write_arrays(billing, write, depth)
    released_by_older_software(engine, billing)
    assert not drift(engine, billing, registry=REGISTRY).drifted
    write(billing, "shallow")
    before = whole_database(engine)
    with pytest.raises(UnsupportedContent) as refused:
        drift(engine, billing, registry=REGISTRY)
    assert refused.value.details["place"] == place
    with pytest.raises(UnsupportedContent) as refused:
        roll_back(engine, billing, 1, registry=REGISTRY)
    assert refused.value.details["place"] == place
    assert whole_database(engine) == before


def test_deeper_content_that_older_software_captured_may_stay_where_it_is(engine: Engine) -> None:
    billing = a_toolset_with_flags(engine)
    write_arrays(billing, PLACES["settings: settings"][1], 4000)
    released_by_older_software(engine, billing)
    deep = whole_database(engine)["toolset_versions"]
    billing.project.configure("model", "changed")
    assert list(roll_back(engine, billing, 1, registry=REGISTRY).changes) == ["system"]
    assert whole_database(engine)["toolset_versions"] == deep
    assert not drift(engine, billing, registry=REGISTRY).drifted


def test_the_limit_counts_arrays_and_objects_around_the_innermost_value() -> None:
    assert not too_deep(nested(DEEPEST, 1))
    assert not too_deep(nested(DEEPEST, []))
    assert too_deep(nested(DEEPEST + 1, 1))
    assert too_deep({"shallow": 1, "deep": [nested(DEEPEST - 1, None)]})
    assert not too_deep("text" * 1000)
