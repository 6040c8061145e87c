"""A commit whose answer is lost on its way may have happened or not: either way its request is done once."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from release_worker.errors import TransientError
from release_worker.store.engine import make_engine
from tests.faults.lossy_proxy import Loss, LossyProxy
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, end_leases, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.records import assert_numbers_and_chain_complete, releases_of, rollbacks_of

# The commits of one request that is worked without trouble: look, claim, operation, and a look at how it ended. A fifth
# would be of a further look.
COMMITS = range(1, 6)
OPERATION = 3


@pytest.fixture
def proxy(database_url: str) -> Iterator[LossyProxy]:
    """Between a worker and PostgreSQL."""
    with LossyProxy(database_url) as running:
        yield running


@pytest.fixture
def worker_engine(proxy: LossyProxy) -> Iterator[Engine]:
    """A worker's engine, through the proxy."""
    engine = make_engine(proxy.url, application_name="release_worker worker")
    yield engine
    engine.dispose()


def _work_until_done(engine: Engine, worker_engine: Engine, request_id: str) -> int:
    """Come again after each transient error, as the task does; returns how often that was."""
    for retries in range(10):
        try:
            mailbox(worker_engine).work_until_done(request_id)
        except TransientError:
            end_leases(engine)
        else:
            return retries
    raise AssertionError(f"request {request_id} is still {record(engine, request_id).status}")


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("commit", COMMITS)
def test_a_release_is_made_once_whichever_commit_loses_its_connection(
    engine: Engine, worker_engine: Engine, proxy: LossyProxy, commit: int, loss: Loss
) -> None:
    billing = a_full_toolset(engine)
    request_id = ask(engine, billing)
    proxy.lose(commit, loss)

    _work_until_done(engine, worker_engine, request_id)

    [made] = releases_of(engine, billing)
    done = record(engine, request_id)
    assert (done.status, made.request_id) == ("succeeded", request_id)
    assert done.result is not None
    assert done.result["release_id"] == str(made.id)


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("commit", COMMITS)
def test_a_rollback_is_done_once_whichever_commit_loses_its_connection(
    engine: Engine, worker_engine: Engine, proxy: LossyProxy, commit: int, loss: Loss
) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    released = live_state(engine, billing)
    edit_everything(billing)
    request_id = ask(engine, billing, "rollback", release_number=1)
    proxy.lose(commit, loss)

    _work_until_done(engine, worker_engine, request_id)

    assert record(engine, request_id).status == "succeeded"
    assert [row.request_id for row in rollbacks_of(engine, billing)] == [request_id]
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "backup"]
    assert live_state(engine, billing) == released
    assert_numbers_and_chain_complete(engine, billing)


def test_one_of_these_commits_is_the_operations(engine: Engine, worker_engine: Engine, proxy: LossyProxy) -> None:
    """Or the tests above would prove nothing. Where only its answer is lost, the ledger says that it happened, and no
    one comes again; where it is lost itself, another attempt is needed."""
    seen = {}
    for loss in Loss:
        for commit in COMMITS:
            billing = a_full_toolset(engine, organization=f"acme-{commit}-{loss.name}")
            request_id = ask(engine, billing)
            proxy.lose(commit, loss)
            retries = _work_until_done(engine, worker_engine, request_id)
            seen[loss, commit] = (retries, record(engine, request_id).attempts)
    assert seen[Loss.ANSWER, OPERATION] == (0, 1)
    assert seen[Loss.COMMIT, OPERATION] == (1, 2)
