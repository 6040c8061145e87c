"""Many requests at once: accepted as a whole, found again by their key, and waited for together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.errors import (
    IdempotencyConflict,
    InvalidRequest,
    OwnerNotFound,
    RequestCancelled,
    RequestNotFound,
    ResultTimeout,
)
from tests.support.ledger import ask, ledger, mailbox, statuses
from tests.support.workers import Service, published
from tests.support.world import Project, Toolset, World

OWNER = "acme/payments"


@pytest.fixture
def project(served: Service) -> Project:
    return World(served.engine).organization("acme").project("payments")


@pytest.fixture
def toolsets(project: Project) -> list[Toolset]:
    return [project.toolset(slug) for slug in ("a", "b", "c")]


def test_every_toolset_is_asked_for_by_its_path(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    handles = client.release_all(project=OWNER, actor="ci", notes="n", labels={"build": "991"})
    assert list(handles) == [toolset.path for toolset in toolsets]
    assert [row.toolset_id for row in ledger(served.engine)] == [toolset.id for toolset in toolsets]
    assert {row.payload["only_if_changed"] for row in ledger(served.engine)} == {True}
    assert all(handle.published for handle in handles.values())


def test_with_the_same_key_a_toolset_is_found_again_whatever_it_is_called_now(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    first = client.release_all(project=OWNER, actor="ci", idempotency_key="k")
    a, b, _ = toolsets
    for toolset, slug in ((a, "x"), (b, "a"), (a, "b")):
        toolset.edit(slug=slug)
    again = client.release_all(project=OWNER, actor="ci", idempotency_key="k")
    assert again[f"{OWNER}/a"].id == first[f"{OWNER}/b"].id
    assert again[f"{OWNER}/b"].id == first[f"{OWNER}/a"].id
    assert len(ledger(served.engine)) == len(toolsets)


def test_toolsets_that_share_a_path_each_have_a_handle(served: Service, client: ReleaseClient) -> None:
    acme = World(served.engine).organization("acme")
    one, other = acme.project("a/b").toolset("c"), acme.project("a").toolset("b/c")
    handles = client.release_all(organization="acme", actor="ci")
    assert handles.keys() == {str(one.id), str(other.id)}


def test_a_toolset_with_a_very_long_path_is_released_too(served: Service, client: ReleaseClient) -> None:
    toolset = World(served.engine).organization("acme").project("p" * 400).toolset("t" * 400)
    assert list(client.release_all(organization="acme", actor="ci")) == [toolset.path]


def test_other_releases_go_before_those_of_a_bulk(
    served: Service, client: ReleaseClient, project: Project, toolsets: list[Toolset]
) -> None:
    client.release_all(project=OWNER, actor="ci")
    hurried = client.create_release(project.toolset("d").path, actor="alice")
    sent = published(served)
    assert (len(sent), sent[0].id) == (len(toolsets) + 1, hurried.id)


def _in_session(client: ReleaseClient, engine: Engine, paths: list[str]) -> None:
    with Session(engine) as session, session.begin():
        client.create_releases(paths, actor="ci", idempotency_key="k", session=session)


WAYS: dict[str, Callable[[ReleaseClient, Engine, list[str]], object]] = {
    "all of a project": lambda client, _, __: client.release_all(project=OWNER, actor="ci", idempotency_key="k"),
    "many": lambda client, _, paths: client.create_releases(paths, actor="ci", idempotency_key="k"),
    "many, in a session": _in_session,
    "each": lambda client, _, paths: [client.create_release(path, actor="ci", idempotency_key="k") for path in paths],
}


@pytest.mark.parametrize("way", WAYS)
def test_celery_is_asked_to_store_no_result_of_new_requests_alone(
    served: Service, toolsets: list[Toolset], way: str
) -> None:
    """Whoever made one that is found again by its key may wait at the backend."""
    paths = [toolset.path for toolset in toolsets]
    with ReleaseClient(broker_url=served.broker_url, database_url=served.database_url) as client:
        for unstored in (True, False):
            WAYS[way](client, served.engine, paths)
            with served.redis() as redis:
                sent = published(served)
                redis.flushdb()
            assert [bool(one.headers["ignore_result"]) for one in sent] == [unstored] * len(paths)


def test_the_same_key_finds_the_same_requests_and_those_of_toolsets_that_came_since(
    served: Service, client: ReleaseClient, project: Project, toolsets: list[Toolset]
) -> None:
    first = client.release_all(project=OWNER, actor="ci", idempotency_key="k")
    mailbox(served.engine).work_until_done(first[toolsets[0].path].id)
    project.toolset("d")
    toolsets[1].delete()
    again = client.release_all(project=OWNER, actor="ci", idempotency_key="k")
    assert list(again) == [f"{OWNER}/{slug}" for slug in "acd"]
    assert all(again[path].id == first[path].id for path in again if path in first)
    assert statuses(served.engine) == ["succeeded", "queued", "queued", "queued"]


def test_a_bulk_whose_key_was_used_for_something_else_asks_for_nothing(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    ask(served.engine, toolsets[2], idempotency_key="k", notes="other")
    with pytest.raises(IdempotencyConflict):
        client.release_all(project=OWNER, actor="ci", idempotency_key="k")
    assert statuses(served.engine) == ["queued"]
    assert published(served) == []


def test_simultaneous_bulks_with_one_key_are_one(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.release_all, project=OWNER, actor="ci", idempotency_key="k") for _ in range(4)]
        ids = {tuple(handle.id for handle in one.result(30).values()) for one in asked}
    assert len(ids) == 1
    assert statuses(served.engine) == ["queued"] * len(toolsets)


def test_a_toolset_whose_path_no_request_could_name_is_asked_for_by_its_id(
    served: Service, client: ReleaseClient, project: Project
) -> None:
    odd = project.toolset("two words")
    [handle] = client.release_all(organization="acme", actor="ci").values()
    assert mailbox(served.engine).work_until_done(handle.id).status == "succeeded"
    assert ledger(served.engine)[0].payload["toolset"] == str(odd.id)


@pytest.mark.parametrize(
    "named",
    [
        {"project": "acme/nothing"},
        {"project": "nobody/payments"},
        {"organization": "nobody"},
        {"organization": str(UUID(int=1))},
        {"project": OWNER, "organization": "rival"},
    ],
    ids=str,
)
def test_an_owner_that_is_not_there_is_refused(
    served: Service, client: ReleaseClient, toolsets: list[Toolset], named: dict[str, Any]
) -> None:
    World(served.engine).organization("rival").project("other")
    with pytest.raises(OwnerNotFound):
        client.release_all(**named, actor="ci")
    assert ledger(served.engine) == []


@pytest.mark.parametrize(
    "named", [{}, {"project": "acme"}, {"project": "acme/"}, {"project": "a/b/c"}, {"organization": "\x00"}], ids=str
)
def test_what_names_no_owner_is_refused(client: ReleaseClient, named: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        client.release_all(**named, actor="ci")


def test_each_handle_comes_with_its_outcome_as_soon_as_its_request_has_ended(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    first, second, third = client.release_all(project=OWNER, actor="ci").values()
    waiting = client.wait([first, second, third], timeout=60)
    client.cancel(second.id, actor="alice")
    handle, error = next(waiting)
    assert (handle, type(error)) == (second, RequestCancelled)
    for asked in (third, first):
        mailbox(served.engine).work_until_done(asked.id)
        handle, result = next(waiting)
        assert handle is asked
        assert result == asked.result(0)
    assert list(waiting) == []


def test_who_waits_for_many_in_vain_is_told_how_many_have_not_finished(
    served: Service, client: ReleaseClient, toolsets: list[Toolset]
) -> None:
    handles = list(client.release_all(project=OWNER, actor="ci").values())
    mailbox(served.engine).work_until_done(handles[0].id)
    with pytest.raises(ResultTimeout, match=r"^2 of 3 requests have not finished") as raised:
        list(client.wait(handles, timeout=0.05))
    assert raised.value.details["request_id"] == handles[1].id


def test_who_waits_for_a_request_that_is_not_there_is_told_so(client: ReleaseClient) -> None:
    with pytest.raises(RequestNotFound):
        list(client.wait([client.handle("nothing", "create_release")]))


def test_nothing_to_wait_for_is_no_wait(client: ReleaseClient) -> None:
    assert list(client.wait([])) == []
