"""Which request is meant, and which comes first: by `seq` and by id, whatever clocks say and wherever rows lie."""

import pytest
from sqlalchemy import Engine, text

from release_worker import ReleaseClient
from release_worker.broker.routing import BEHIND_OTHERS
from release_worker.domain.limits import DEFAULTS
from release_worker.operations.sweep import SweepPolicy, sweep
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine, settings
from tests.support.databases import without_indexes
from tests.support.ledger import ask, grow_old, ledger, mailbox
from tests.support.records import releases_of
from tests.support.workers import Service, published
from tests.support.world import Toolset

PATIENCE = 15.0


@pytest.fixture(params=[True, False], ids=["with indexes", "without"])
def billing(engine: Engine, request: pytest.FixtureRequest) -> Toolset:
    """In a database whose indexes may lend a query their order, or may not."""
    if not request.param:
        without_indexes(engine)
    return a_full_toolset(engine)


def turn_the_clock_back(engine: Engine) -> None:
    """Let each request have been written down before the one that it came after, and lie before it on disk too."""
    earlier = text("UPDATE release_requests SET created_at = now() - make_interval(secs => :seq) WHERE seq = :seq")
    for row in reversed(ledger(engine)):
        with engine.begin() as connection:
            connection.execute(earlier, {"seq": row.seq})
    times = [row.created_at for row in ledger(engine)]
    assert times == sorted(times, reverse=True)


def test_requests_are_worked_in_the_order_of_their_numbers_and_not_of_their_times(
    engine: Engine, billing: Toolset
) -> None:
    asked = [ask(engine, billing, notes=str(number)) for number in range(4)]
    turn_the_clock_back(engine)
    mailbox(engine).work_until_done(asked[-1])
    assert [row.request_id for row in releases_of(engine, billing)] == asked


def test_a_sweep_publishes_in_the_order_of_numbers_and_not_of_times(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing) for _ in range(7)]
    turn_the_clock_back(engine)
    grow_old(engine, PATIENCE + 1)
    few = SweepPolicy(patience=PATIENCE, limit=3)
    seen = [sweep(engine, lambda _: None, attempts=3, policy=few).published for _ in range(3)]
    assert seen == [tuple(asked[:3]), tuple(asked[3:6]), tuple(asked[6:])]


@pytest.mark.parametrize("first", ["the one with the key", "the one with the id"])
def test_a_message_stands_for_the_request_of_its_id_before_that_of_its_key(
    engine: Engine, billing: Toolset, first: str
) -> None:
    """Its sender gives a key that another request has, which asks for the same."""
    if first == "the one with the key":
        of_key, of_id = ask(engine, billing, idempotency_key="k"), ask(engine, billing)
    else:
        of_id, of_key = ask(engine, billing), ask(engine, billing, idempotency_key="k")
    keywords = {"toolset": billing.path, "actor": "tester", "idempotency_key": "k"}
    inbox = Inbox(engine)
    assert inbox.accept("create_release", Message(of_id, [], keywords, in_ledger=False)).id == of_id
    assert inbox.accept("create_release", Message("another id", [], keywords, in_ledger=False)).id == of_key
    assert {row.id for row in ledger(engine)} == {of_id, of_key}


def test_requests_of_other_organizations_are_not_listed(engine: Engine, database_url: str) -> None:
    acme, rival = a_full_toolset(engine), a_full_toolset(engine, organization="rival")
    release_worker = CommandLine(settings(database_url=database_url))
    ours = [ask(engine, acme), ask(engine, rival), ask(engine, acme)][::2]
    theirs = ledger(engine)[1].id
    mailbox(engine).work_until_done(theirs)

    def listed(*options: str) -> list[str]:
        return [one["id"] for one in release_worker("requests", "list", "--json", *options).document]

    for name in ("acme", str(acme.project.organization.id)):
        assert listed("--organization", name) == ours[::-1]
        assert listed("--organization", name, "--toolset", acme.path) == ours[::-1]
    for name in ("rival", str(rival.project.organization.id)):
        assert listed("--organization", name) == [theirs]
    assert listed("--organization", "nobody") == []
    assert len(listed()) == 3


def test_a_request_goes_behind_other_toolsets_if_its_own_has_a_crowd_waiting(
    served: Service, client: ReleaseClient
) -> None:
    crowded, other = (a_full_toolset(served.engine, organization=name) for name in ("crowded", "other"))
    for toolset in [crowded] * (DEFAULTS.crowd + 2) + [other] * 2:
        client.create_release(toolset.path, actor="ci")
    client.rollback(crowded.path, 1, actor="oncall")
    sent = [(one.keywords["toolset"], one.priority) for one in published(served)]
    first = [(crowded.path, 0)] * DEFAULTS.crowd + [(other.path, 0)] * 2
    assert sent == [(crowded.path, 0), *first, *[(crowded.path, BEHIND_OTHERS)] * 2]
