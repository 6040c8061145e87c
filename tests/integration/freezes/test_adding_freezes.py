"""Freezes through the client: at once or with the caller's transaction, by whoever may, for whom they name."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.domain.instant import parse_instant
from release_worker.errors import FreezeNotFound, InvalidRequest, NotConfigured, OwnerNotFound
from tests.support.billing import a_full_toolset
from tests.support.freezes import freeze, from_now
from tests.support.servers import Servers
from tests.support.world import Toolset

ACTOR = "release manager"


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def client(servers: Servers, database_url: str) -> Iterator[ReleaseClient]:
    with ReleaseClient(broker_url=servers.broker_url, database_url=database_url) as made:
        yield made


def window(**fields: Any) -> dict[str, Any]:
    return {"ends_at": from_now(1), "reason": "year end", "actor": ACTOR, **fields}


def test_a_freeze_is_there_at_once_and_is_told_as_it_was_made(client: ReleaseClient, billing: Toolset) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    made = client.add_freeze(project="acme/payments", **window(ends_at=ends_at))
    assert (made.scope, made.ends_at, made.reason, made.created_by) == ("acme/payments", ends_at, "year end", ACTOR)
    assert (made.organization_id, made.project_id) == (billing.project.organization.id, billing.project.id)
    assert made.in_force(datetime.now(UTC))
    assert client.freezes() == [made]


@pytest.mark.parametrize("by_id", [False, True])
def test_a_freeze_of_an_organization_has_no_project(client: ReleaseClient, billing: Toolset, by_id: bool) -> None:
    organization = billing.project.organization
    made = client.add_freeze(organization=str(organization.id) if by_id else organization.slug, **window())
    assert (made.scope, made.organization_id, made.project_id) == ("acme", organization.id, None)


def test_freezes_are_listed_in_the_order_in_which_they_start_and_for_whom_they_hold(
    client: ReleaseClient, billing: Toolset
) -> None:
    organization = billing.project.organization
    other = organization.project("other")
    others = a_full_toolset(billing.rows.engine, organization="others").project
    over = freeze(billing.project, starts=-2, ends=-1)
    later, of_all = freeze(billing.project, starts=1, ends=2), freeze(organization)
    of_other, of_others = freeze(other, starts=-0.5), freeze(others, starts=0.5)

    def listed(**asked: Any) -> list[Any]:
        return [one.id for one in client.freezes(**asked)]

    assert listed() == [of_all, of_other, of_others, later]
    assert listed(past=True) == [over, of_all, of_other, of_others, later]
    assert listed(organization="acme") == [of_all, of_other, later]
    assert listed(project="acme/payments") == [of_all, later]
    assert listed(project="acme/other") == [of_all, of_other]


def test_a_freeze_joins_the_callers_transaction(engine: Engine, client: ReleaseClient, billing: Toolset) -> None:
    with Session(engine) as session:
        made = client.add_freeze(project="acme/payments", **window(), session=session)
        assert client.freezes(session=session) == [made]
        assert client.freezes() == []
        session.rollback()
    assert client.freezes() == []
    kept = client.add_freeze(project="acme/payments", **window())
    with Session(engine) as session:
        client.remove_freeze(kept.id, session=session)
        assert client.freezes() == [kept]
        session.commit()
    assert client.freezes() == []


def test_a_freeze_that_is_taken_back_is_gone_and_told_once(client: ReleaseClient, billing: Toolset) -> None:
    made = client.add_freeze(project="acme/payments", **window())
    with pytest.raises(OwnerNotFound):
        client.remove_freeze(made.id, organization="nobody")
    a_full_toolset(billing.rows.engine, organization="others")
    with pytest.raises(FreezeNotFound):
        client.remove_freeze(made.id, organization="others")
    assert client.remove_freeze(str(made.id), organization="acme") == made
    with pytest.raises(FreezeNotFound, match=str(made.id)):
        client.remove_freeze(made.id)


@pytest.mark.parametrize("wrong", [uuid4(), "not an id"])
def test_a_freeze_that_is_not_there_is_told_so(client: ReleaseClient, wrong: Any) -> None:
    with pytest.raises(FreezeNotFound, match=str(wrong)):
        client.remove_freeze(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ends_at": from_now(-1)},
        {"starts_at": from_now(2)},
        {"starts_at": from_now(-2), "ends_at": from_now(-1)},
        {"ends_at": datetime(2999, 1, 1)},  # noqa: DTZ001, because that is what is refused
        {"ends_at": datetime(9999, 6, 1, tzinfo=UTC)},
        {"ends_at": "2999-01-01T00:00Z"},
        {"reason": " "},
        {"actor": ""},
        {"organization": None},
    ],
)
def test_what_is_no_window_of_anybody_for_a_reason_is_refused(
    client: ReleaseClient, billing: Toolset, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as invalid:
        client.add_freeze(**{"organization": "acme", **window(**wrong)})
    assert invalid.value.details["problems"]
    assert client.freezes(past=True) == []


def test_the_owner_must_be_there(client: ReleaseClient, billing: Toolset) -> None:
    with pytest.raises(OwnerNotFound, match="acme/nothing"):
        client.add_freeze(project="acme/nothing", **window())
    a_full_toolset(billing.rows.engine, organization="others")
    with pytest.raises(OwnerNotFound):
        client.add_freeze(project="acme/payments", organization="others", **window())


def test_without_a_database_it_says_which_setting_is_missing(servers: Servers) -> None:
    with (
        ReleaseClient(broker_url=servers.broker_url) as client,
        pytest.raises(NotConfigured, match="RELEASE_WORKER_DATABASE_URL"),
    ):
        client.add_freeze(organization="acme", **window())


@pytest.mark.parametrize(
    ("starts", "ends"),
    [("now()", "now()"), ("now()", "'infinity'"), ("'-infinity'", "now()"), ("'0044-03-15 BC'", "now()")],
)
def test_the_table_holds_no_window_that_could_not_be_read(
    engine: Engine, billing: Toolset, starts: str, ends: str
) -> None:
    insert = f"""
        INSERT INTO release_freezes (organization_id, starts_at, ends_at, reason, created_by)
        VALUES (:id, {starts}, {ends}, 'x', 'x')
    """
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(insert), {"id": billing.project.organization.id})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-12-24T18:00+01:00", datetime(2026, 12, 24, 17, tzinfo=UTC)),
        ("2026-12-24T18:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24 18:00:30", datetime(2026, 12, 24, 18, 0, 30, tzinfo=UTC)),
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
    ],
)
def test_a_moment_without_a_zone_is_in_utc(written: str, meant: datetime) -> None:
    assert parse_instant(written) == meant


@pytest.mark.parametrize("written", ["tomorrow", "24.12.2026", ""])
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a time such as"):
        parse_instant(written)
