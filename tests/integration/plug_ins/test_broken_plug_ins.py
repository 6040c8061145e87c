"""A plug-in whose SQL is broken is named, and its request fails for good at the first attempt; nobody else's does."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.domain.database import in_sql
from release_worker.domain.subject import Scope
from release_worker.errors import ComponentFailed, DatabaseUnavailable
from release_worker.state.component import Component, Parameters, keyed_diff, members
from release_worker.store.engine import make_engine
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.elsewhere import SCHEMA
from tests.support.ledger import ask, mailbox, record
from tests.support.operations import release
from tests.support.plug_ins import ToolFlags, create_flags_table, with_plug_ins
from tests.support.world import Toolset

HARMLESS = "CAST('{\"a\": 1}' AS jsonb)"


@dataclass(frozen=True)
class Plugged:
    """A component of which a test says what its SQL is."""

    name: str = "flags"
    scope: Scope = "toolset"
    content: str = HARMLESS
    differing: str | None = None
    restoring: str = "SELECT 1"

    def capture(self) -> str:
        return self.content

    def diff(self, before: str, after: str) -> str:
        return self.differing or keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        connection.execute(text(self.restoring), parameters)


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def failure(engine: Engine, request_id: str, *plug_ins: Component) -> ComponentFailed:
    """The error of a request that fails at its first attempt with these plug-ins."""
    done = mailbox(engine, registry=with_plug_ins(*plug_ins)).work_until_done(request_id)
    assert (done.status, done.attempts) == ("failed", 1)
    with pytest.raises(ComponentFailed) as failed:
        done.answer()
    return failed.value


BROKEN = {
    "a missing table": ("(SELECT jsonb_agg(f) FROM nothing f)", 'relation "nothing" does not exist'),
    "a missing column": ("(SELECT to_jsonb(colour) FROM ours.toolsets WHERE id = :toolset_id)", "colour"),
    "a missing function": ("no_such_function(:project_id)", "function no_such_function"),
    "bad syntax": ("(SELECT FROM WHERE)", "syntax error"),
    "bad data": ("(SELECT to_jsonb(CAST(slug AS int)) FROM ours.toolsets WHERE id = :toolset_id)", "integer"),
    "several rows": ("(SELECT to_jsonb(n) FROM generate_series(1, 2) n)", "more than one row"),
    "a parameter that is not given": ("to_jsonb(CAST(:nobody AS text))", "nobody"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("kind", ["create_release", "check_drift", "rollback"])
def test_a_plug_in_that_cannot_be_captured_is_named(engine: Engine, billing: Toolset, broken: str, kind: str) -> None:
    release(engine, billing, registry=with_plug_ins(Plugged()))
    content, complaint = BROKEN[broken]
    asked = ask(engine, billing, kind, **({"release_number": 1} if kind == "rollback" else {}))
    failed = failure(engine, asked, Plugged(name="sound"), Plugged(content=content))
    assert failed.details["component"] == "flags"
    assert complaint in failed.details["reason"]


def test_a_plug_in_that_cannot_be_compared_is_named(engine: Engine, billing: Toolset) -> None:
    release(engine, billing, registry=with_plug_ins(Plugged()))
    moved = Plugged(content="CAST('{}' AS jsonb)", differing="SELECT wrong FROM nothing")
    failed = failure(engine, ask(engine, billing, "check_drift"), moved)
    assert failed.details == {"component": "flags", "reason": 'relation "nothing" does not exist'}


@pytest.mark.parametrize(
    ("restoring", "complaint"),
    [("DELETE FROM nothing", 'relation "nothing" does not exist'), ("SELECT 1 / 0", "division by zero")],
)
def test_a_plug_in_that_cannot_be_restored_is_named(
    engine: Engine, billing: Toolset, restoring: str, complaint: str
) -> None:
    release(engine, billing, registry=with_plug_ins(Plugged()))
    moved = Plugged(content="CAST('{}' AS jsonb)", restoring=restoring)
    failed = failure(engine, ask(engine, billing, "rollback", release_number=1), moved)
    assert failed.details == {"component": "flags", "reason": complaint}


def test_what_a_statement_of_ours_meets_is_not_the_fault_of_the_plug_in_that_is_restored_next(
    engine: Engine, billing: Toolset
) -> None:
    release(engine, billing, registry=with_plug_ins(Plugged()))
    billing.move_tool(INVOICE, 9)
    create = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM nothing; END $$;
        CREATE TRIGGER refuse AFTER UPDATE ON toolset_tools FOR EACH ROW EXECUTE FUNCTION refuse()
    """
    with engine.begin() as connection:
        connection.execute(text(create))
    asked = ask(engine, billing, "rollback", release_number=1)
    with pytest.raises(DatabaseUnavailable, match='relation "nothing" does not exist'):
        mailbox(engine, registry=with_plug_ins(Plugged(content="CAST('{}' AS jsonb)"))).work_until_done(asked)
    assert record(engine, asked).status == "queued"


def test_a_plug_in_that_cannot_say_whom_it_reaches_is_named(engine: Engine, billing: Toolset) -> None:
    create_flags_table(engine)
    release(engine, billing, registry=with_plug_ins(ToolFlags()))
    with engine.begin() as connection:
        values = {"owner": billing.project.id}
        connection.execute(text("INSERT INTO flags VALUES (:owner, 'dark', 'true')"), values)
    broken = ToolFlags(reached="SELECT id FROM nothing")
    failed = failure(engine, ask(engine, billing, "rollback", release_number=1), broken)
    assert failed.details == {"component": "flags", "reason": 'relation "nothing" does not exist'}


def test_other_requests_of_the_toolset_go_on(engine: Engine, billing: Toolset) -> None:
    broken, sound = ask(engine, billing), ask(engine, billing, "rollback", release_number=1)
    release(engine, billing)
    failure(engine, broken, Plugged(content="(SELECT to_jsonb(f) FROM nothing f)"))
    assert mailbox(engine).work_until_done(sound).status == "succeeded"


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE toolset_tools RENAME COLUMN position TO place",
        "DROP TABLE system_configs CASCADE",
        "ALTER TABLE toolset_releases RENAME TO others",
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        HARMLESS,
        "(SELECT to_jsonb(f) FROM nothing f)",
        "(SELECT jsonb_agg(position) FROM toolset_tools WHERE toolset_id = :toolset_id)",
        "(SELECT jsonb_agg(value) FROM system_configs WHERE project_id = :project_id)",
    ],
    ids=["sound", "broken", "uses a column of ours", "uses a table of ours"],
)
def test_what_is_missing_from_our_own_tables_is_nobodys_fault_and_is_tried_again(
    engine: Engine, billing: Toolset, damage: str, content: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(damage))
    asked = ask(engine, billing)
    with pytest.raises(DatabaseUnavailable, match="run release-worker db upgrade"):
        mailbox(engine, registry=with_plug_ins(Plugged(content=content))).work_until_done(asked)
    assert record(engine, asked).status == "queued"


def test_what_a_plug_in_meets_by_chance_is_tried_again(engine: Engine, billing: Toolset) -> None:
    """Such as a deadlock, a lost connection, a row that another was quicker to write."""
    create = """
        CREATE FUNCTION conflict() RETURNS jsonb LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = 'deadlock_detected'; END $$
    """
    with engine.begin() as connection:
        connection.execute(text(create))
    asked = ask(engine, billing)
    with pytest.raises(Exception, match="deadlock"):
        mailbox(engine, registry=with_plug_ins(Plugged(content="conflict()"))).work_until_done(asked)
    assert record(engine, asked).status == "queued"


def as_worker(engine: Engine) -> Callable[[], Engine]:
    """A role with every right on the tables, that owns none of them."""
    with engine.begin() as connection:
        if not connection.execute(text("SELECT FROM pg_roles WHERE rolname = 'guarded'")).all():
            connection.execute(text("CREATE ROLE guarded LOGIN"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {in_sql(SCHEMA)} TO guarded"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA {in_sql(SCHEMA)} TO guarded"))
    return lambda: make_engine(engine.url.set(username="guarded").render_as_string(hide_password=False))


@pytest.mark.parametrize("kind", ["create_release", "check_drift"])
@pytest.mark.parametrize("table", ["toolset_tools", "variations", "prompt_templates"])
def test_row_level_security_that_would_hide_rows_stops_a_capture(
    engine: Engine, billing: Toolset, table: str, kind: str
) -> None:
    worker = as_worker(engine)()
    assert mailbox(worker).work_until_done(ask(engine, billing)).status == "succeeded"
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
    asked = ask(engine, billing, kind)
    with pytest.raises(DatabaseUnavailable, match=rf'"{table}".*hide rows.*BYPASSRLS'):
        mailbox(worker).work_until_done(asked)
    assert record(engine, asked).status == "queued"
    worker.dispose()
