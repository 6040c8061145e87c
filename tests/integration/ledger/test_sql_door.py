"""`release_worker_request`: the door for any language, in the caller's own transaction."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine

from release_worker import migrations
from release_worker.domain.database import channel_of
from release_worker.domain.requests.kinds import KINDS
from release_worker.errors import DatabaseUnavailable
from release_worker.operations.sweep import sweep
from release_worker.store.engine import ledger_transaction
from release_worker.store.listening import heard, take_asked
from tests.support.billing import a_full_toolset
from tests.support.elsewhere import SCHEMA, skip_elsewhere
from tests.support.kinds import VALID
from tests.support.ledger import ask, grow_old, mailbox, record
from tests.support.records import releases_of
from tests.support.world import Toolset, World

BAD_REQUEST, NO_TOOLSET, OTHER_REQUEST = "RW001", "RW002", "RW003"
CALL = "SELECT release_worker_request(%(kind)s, %(toolset)s, %(actor)s, %(arguments)s::jsonb, %(key)s)"


@pytest.fixture
def caller(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A plain connection, as any app has one."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        yield connection


def request(
    caller: psycopg.Connection[Any],
    kind: str,
    toolset: str | None,
    *,
    actor: str | None = "psql",
    key: str | None = None,
    **arguments: Any,
) -> str:
    parameters = {"kind": kind, "toolset": toolset, "actor": actor, "arguments": json.dumps(arguments), "key": key}
    row = caller.execute(CALL, parameters).fetchone()
    assert row is not None
    return str(row[0])


def refused(caller: psycopg.Connection[Any], *arguments: Any, **keywords: Any) -> tuple[str | None, str]:
    with pytest.raises(psycopg.Error) as raised:
        request(caller, *arguments, **keywords)
    caller.rollback()
    return raised.value.sqlstate, str(raised.value.diag.message_primary)


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


def test_it_knows_the_kinds_of_request_and_their_fields(caller: psycopg.Connection[Any]) -> None:
    row = caller.execute(
        "SELECT jsonb_object_agg(kind, release_worker_form(kind)) FROM unnest(%s::text[]) kind", [list(KINDS)]
    )
    [(forms,)] = row.fetchall()
    told = {"toolset", "actor", "idempotency_key", "organization"}
    for kind, model in KINDS.items():
        fields = {name: field for name, field in model.model_fields.items() if name not in told}
        form = forms[kind]
        instead = f"{kind}: replace release_worker_form in a migration (CONTRIBUTING.md, Adding an argument to a kind)"
        assert form is not None, instead
        assert {*form.get("needed", [])} == {name for name, field in fields.items() if field.is_required()}, instead
        others = {name: field.default for name, field in fields.items() if not field.is_required()}
        assert form.get("others", {}) == others, instead
        assert {*form.get("later", [])} == {*model.later}, instead
    assert caller.execute("SELECT release_worker_form('none')").fetchone() == (None,)


def test_a_commit_makes_one_release_and_a_rollback_makes_none(engine: Engine, caller: psycopg.Connection[Any]) -> None:
    billing = a_full_toolset(engine)
    request(caller, "create_release", billing.path)
    caller.rollback()
    kept = request(caller, "create_release", str(billing.id), notes="from SQL", labels={"build": 1})
    caller.commit()
    mailbox(engine).work_until_done(kept)
    [release] = releases_of(engine, billing)
    assert (release.release_number, release.notes, release.released_by, release.request_id) == (
        1, "from SQL", "psql", kept,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_each_kind_is_the_one_that_the_client_writes(
    engine: Engine, caller: psycopg.Connection[Any], kind: str
) -> None:
    billing = a_full_toolset(engine)
    given = VALID[kind]
    by_sql = request(caller, kind, billing.path, **given)
    caller.commit()
    by_client = ask(engine, billing, kind, actor="psql", **given)
    left, right = record(engine, by_sql), record(engine, by_client)
    assert (left.payload, left.toolset_id, left.requested_by) == (right.payload, right.toolset_id, right.requested_by)
    assert left.request() == right.request()


def test_the_same_key_makes_one_request_however_it_is_asked(engine: Engine, caller: psycopg.Connection[Any]) -> None:
    billing = a_full_toolset(engine)
    first = request(caller, "create_release", billing.path, key="k", labels={"a": 1.0, "b": None})
    again = request(caller, "create_release", str(billing.id), key="k", labels={"b": None, "a": 1}, notes=None)
    caller.commit()
    assert again == first
    assert ask(engine, billing, idempotency_key="k", actor="psql", labels={"a": 1.0, "b": None}) == first

    other = ask(engine, billing, "rollback", idempotency_key="r", actor="psql", release_number=1)
    assert request(caller, "rollback", billing.path, key="r", release_number=1, allow_bad=False) == other
    assert refused(caller, "rollback", billing.path, key="r", release_number=2)[0] == OTHER_REQUEST
    assert refused(caller, "create_release", billing.path, key="r")[0] == OTHER_REQUEST


def test_what_nobody_heard_of_is_swept(engine: Engine, caller: psycopg.Connection[Any]) -> None:
    billing = a_full_toolset(engine)
    asked = request(caller, "create_release", billing.path)
    caller.commit()
    grow_old(engine, 60)
    swept: list[str] = []
    sweep(engine, lambda record: swept.append(record.id), attempts=3)
    assert swept == [asked]


def test_each_request_is_heard_of_after_its_commit_and_published_by_one_listener(
    engine: Engine, caller: psycopg.Connection[Any]
) -> None:
    billing = a_full_toolset(engine)
    hearing = [heard(engine, channel_of(SCHEMA), every=0.05) for _ in range(2)]
    assert [next(one) for one in hearing] == [[], []]
    undone = request(caller, "create_release", billing.path)
    caller.rollback()
    asked = [request(caller, "create_release", billing.path) for _ in range(3)]
    assert [next(one) for one in hearing] == [[], []]
    caller.commit()
    by_each = [[*next(one), *next(one)] for one in hearing]
    assert by_each == [asked, asked]
    with ledger_transaction(engine) as first, ledger_transaction(engine) as second:
        taken = take_asked(first, [*asked, undone])
        assert take_asked(second, asked) == []
    assert [record.id for record in taken] == asked
    for one in hearing:
        one.close()


def test_callers_of_one_key_at_the_same_time_get_one_request(engine: Engine, database_url: str) -> None:
    billing = a_full_toolset(engine)
    url = database_url.replace("+psycopg", "")
    with psycopg.connect(url) as first, psycopg.connect(url) as second:
        made = request(first, "create_release", billing.path, key="k")
        second.execute("SET lock_timeout = '50ms'")
        assert refused(second, "create_release", billing.path, key="k")[0] == "55P03"  # it waits for the first
        first.commit()
        assert request(second, "create_release", billing.path, key="k") == made


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "destroy"}, "there is no kind of request 'destroy'"),
        ({"kind": None}, "there is no kind of request NULL"),
        ({"toolset": None}, "toolset and actor must be given"),
        ({"actor": ""}, "actor with 1 to 200 characters"),
        ({"actor": None}, "toolset and actor must be given"),
        ({"key": ""}, "idempotency_key must have 1 to 200 characters"),
        ({"note": "typo", "actr": 1}, "create_release does not take these arguments: actr, note"),
        ({"kind": "rollback", "actors": 1}, "rollback does not take these arguments: actors"),
        ({"kind": "pin"}, "pin needs these arguments: release_number"),
        ({"notes": "x" * 1_000_000}, "arguments are too long"),
        ({"labels": nested(300)}, "arguments are nested too deeply"),
    ],
)
def test_bad_input_is_one_clear_error(
    engine: Engine, caller: psycopg.Connection[Any], wrong: dict[str, Any], said: str
) -> None:
    billing = a_full_toolset(engine)
    sqlstate, message = refused(caller, **{"kind": "create_release", "toolset": billing.path, **wrong})
    assert sqlstate == BAD_REQUEST
    assert said in message


def test_a_value_that_is_wrong_fails_the_request_as_it_does_for_others(
    engine: Engine, caller: psycopg.Connection[Any]
) -> None:
    billing = a_full_toolset(engine)
    wrong = request(caller, "rollback", billing.path, release_number="one")
    caller.commit()
    ended = mailbox(engine).work_until_done(wrong)
    assert (ended.status, (ended.error or {})["type"]) == ("failed", "InvalidRequest")


@pytest.mark.parametrize(
    "named",
    ["acme/payments/none", "acme/payments", "a/b/c/d", "", "01900000-0000-7000-8000-000000000000", "'; DROP TABLE x"],
)
def test_a_toolset_that_is_not_there_is_refused(engine: Engine, caller: psycopg.Connection[Any], named: str) -> None:
    a_full_toolset(engine)
    assert refused(caller, "create_release", named)[0] == NO_TOOLSET


def test_a_toolset_of_another_organization_is_not_there(engine: Engine, caller: psycopg.Connection[Any]) -> None:
    billing = a_full_toolset(engine)
    World(engine).organization("other")
    assert refused(caller, "create_release", billing.path, organization="other")[0] == NO_TOOLSET
    request(caller, "create_release", billing.path, organization="acme")


class TestABoundCaller:
    """A user who may only ask, and only for the organizations that are listed for it."""

    @pytest.fixture
    def user(self, engine: Engine, database_url: str) -> Iterator[psycopg.Connection[Any]]:
        name = f"user_{uuid4().hex[:12]}"
        owner = psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True)
        owner.execute(migrations.grants())
        owner.execute(f"CREATE ROLE {name} LOGIN IN ROLE release_worker_caller")
        url = engine.url.set(username=name, drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            yield connection
        owner.execute(f"DROP ROLE {name}")
        owner.execute(
            "DROP OWNED BY release_worker_app, release_worker_worker, release_worker_reader, release_worker_caller"
        )
        owner.close()

    @pytest.fixture
    def ours(self, engine: Engine, user: psycopg.Connection[Any]) -> Toolset:
        billing = a_full_toolset(engine)
        theirs = World(engine).organization("other").project("p").toolset("t")
        with engine.begin() as owner:
            owner.exec_driver_sql(
                "INSERT INTO release_callers SELECT %s, id FROM organizations WHERE slug = 'acme'", (user.info.user,)
            )
        for toolset in (billing, theirs):
            mailbox(engine).work_until_done(ask(engine, toolset))
        return billing

    def test_it_asks_for_its_own_toolsets_and_no_others(self, engine: Engine, user: Any, ours: Toolset) -> None:
        asked = request(user, "create_release", ours.path)
        user.commit()
        assert record(engine, asked).status == "queued"
        assert refused(user, "create_release", "other/p/t")[0] == NO_TOOLSET

    def test_it_sees_the_requests_and_releases_of_its_own_organization_alone(self, user: Any, ours: Toolset) -> None:
        requests = user.execute("SELECT toolset_id, status FROM release_requests_of_caller").fetchall()
        assert requests == [(ours.id, "succeeded")]
        releases = user.execute("SELECT toolset_id, release_number, current FROM toolset_releases_of_caller").fetchall()
        assert releases == [(ours.id, 1, True)]

    def test_it_writes_nothing_that_would_stop_whoever_lists_requests(self, user: Any, ours: Toolset) -> None:
        deep = '{"toolset": "no/such/one", "labels": ' + '{"a": ' * 6000 + "1" + "}" * 6000 + "}"
        with pytest.raises(psycopg.errors.CheckViolation, match="the row has not the form of a request"):
            user.execute(
                "SELECT release_worker_accept('id', 'status', 'no/such/one', NULL, 'a', %s, NULL, NULL, 9, true, NULL)",
                (deep,),
            )

    @pytest.mark.parametrize("relation", ["release_requests", "toolset_releases", "toolsets", "release_callers"])
    def test_it_reads_no_table(self, user: Any, ours: Toolset, relation: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute(f"SELECT * FROM {relation}")


@skip_elsewhere("who may not use a schema does not find its functions")
def test_nobody_may_ask_who_was_not_granted_to(engine: Engine, database_url: str) -> None:
    billing = a_full_toolset(engine)
    name = f"user_{uuid4().hex[:12]}"
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN")
        url = engine.url.set(username=name, drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as stranger, pytest.raises(psycopg.errors.InsufficientPrivilege):
            request(stranger, "create_release", billing.path)
        owner.execute(f"DROP ROLE {name}")


def test_a_listener_whose_session_is_ended_says_that_the_database_is_away(
    engine: Engine, caller: psycopg.Connection[Any]
) -> None:
    hearing = heard(engine, channel_of(SCHEMA), every=0.05)
    assert next(hearing) == []
    caller.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    with pytest.raises(DatabaseUnavailable):
        next(hearing)
