"""Holds the code to docs/state-machine.md: each transition there happens, by the code that the page says does it."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from release_worker.domain.cancellation import Cancellation
from release_worker.errors import DatabaseUnavailable, InvalidRequest, LockUnavailable
from release_worker.operations.cancel_request import cancel_request
from release_worker.operations.retry_request import retry_request
from release_worker.operations.sweep import sweep
from release_worker.store.engine import ledger_transaction
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.ledger import LATER, ask, claim, end_leases, mailbox, ticket
from tests.support.plug_ins import interrupted_by, raising
from tests.support.state_machine import Transition, transitions_of_the_page
from tests.support.world import Toolset

TABLE = transitions_of_the_page()


def test_the_page_names_every_transition_between_the_four_states() -> None:
    assert len(TABLE) == 12
    assert {state for transition in TABLE.values() for state in transition} == {
        None,
        "queued",
        "running",
        "succeeded",
        "failed",
    }
    assert not [name for name, (before, _) in TABLE.items() if before == "succeeded"]


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def seen(engine: Engine) -> Iterator[Callable[[], list[Transition]]]:
    """Every transition that the database saw, in order; a new attempt of a running request counts as one."""
    log = """
        CREATE TABLE seen (place bigint GENERATED ALWAYS AS IDENTITY, before text, after text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO seen (before, after) VALUES (NULL, NEW.status);
            ELSIF (NEW.status, NEW.attempts) IS DISTINCT FROM (OLD.status, OLD.attempts) THEN
                INSERT INTO seen (before, after) VALUES (OLD.status, NEW.status);
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER see AFTER INSERT OR UPDATE ON release_requests FOR EACH ROW EXECUTE FUNCTION see();
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(log)

    def transitions() -> list[Transition]:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT before, after FROM seen ORDER BY place"))
            return [(before, after) for before, after in rows]

    yield transitions
    assert set(transitions()) <= set(TABLE.values())


def drive_accept(engine: Engine, billing: Toolset) -> None:
    ask(engine, billing)


def drive_refuse(engine: Engine, billing: Toolset) -> None:
    with pytest.raises(InvalidRequest):
        Inbox(engine).accept("create_release", Message("id", [billing.path, 7], {}, in_ledger=False))


def drive_claim(engine: Engine, billing: Toolset) -> None:
    claim(engine, ask(engine, billing))


def drive_claim_again(engine: Engine, billing: Toolset) -> None:
    drive_claim(engine, billing)
    end_leases(engine)
    with engine.connect() as connection:
        [asked] = connection.execute(text("SELECT id FROM release_requests")).scalars()
    claim(engine, asked)


def drive_succeed(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))


def drive_succeed_at_once(engine: Engine, billing: Toolset) -> None:
    drive_succeed(engine, billing)
    assert mailbox(engine).work_unseen(ticket(engine, ask(engine, billing), first=True)) is not None


def drive_postpone(engine: Engine, billing: Toolset) -> None:
    troubled = mailbox(engine, retry=LATER, registry=interrupted_by(raising(DatabaseUnavailable(reason="gone"))))
    with pytest.raises(DatabaseUnavailable), capture_logs():
        troubled.work_until_done(ask(engine, billing))


def drive_fail(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=9))


def drive_exhaust(engine: Engine, billing: Toolset) -> None:
    drive_claim(engine, billing)
    end_leases(engine)
    assert len(sweep(engine, lambda _record: None, attempts=1).exhausted) == 1


def drive_abandon(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).abandon(ask(engine, billing), LockUnavailable(toolset_id=str(billing.id)))


def drive_cancel(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    with ledger_transaction(engine) as connection:
        cancel_request(connection, asked, Cancellation(actor="alice"))


def drive_retry(engine: Engine, billing: Toolset) -> None:
    drive_fail(engine, billing)
    with ledger_transaction(engine) as connection:
        [failed] = connection.execute(text("SELECT id FROM release_requests")).scalars()
        retry_request(connection, failed)


# What drives a transition, and by which others the request gets to its beginning.
DRIVERS: Mapping[str, tuple[Callable[[Engine, Toolset], None], list[str]]] = {
    "accept": (drive_accept, []),
    "refuse": (drive_refuse, []),
    "claim": (drive_claim, ["accept"]),
    "claim again": (drive_claim_again, ["accept", "claim"]),
    "succeed": (drive_succeed, ["accept", "claim"]),
    "succeed at once": (drive_succeed_at_once, ["accept", "claim", "succeed", "accept"]),
    "postpone": (drive_postpone, ["accept", "claim"]),
    "fail": (drive_fail, ["accept", "claim"]),
    "exhaust": (drive_exhaust, ["accept", "claim"]),
    "abandon": (drive_abandon, ["accept"]),
    "cancel": (drive_cancel, ["accept"]),
    "retry": (drive_retry, ["accept", "claim", "fail"]),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_transition_of_the_page_happens(
    engine: Engine, billing: Toolset, seen: Callable[[], list[Transition]], name: str
) -> None:
    drive, way = DRIVERS[name]
    drive(engine, billing)
    assert seen() == [TABLE[step] for step in (*way, name)]
