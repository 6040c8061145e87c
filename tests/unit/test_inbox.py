"""What a message says of its row, before anybody has looked at the row."""

from typing import Any
from uuid import UUID

import pytest

from release_worker.domain.request_record import Ticket
from release_worker.domain.requests.kinds import validate_request
from release_worker.worker.inbox import Inbox, Message

TOOLSET = UUID("01a21e1a-8f5d-7209-a24b-392de3d2bc8e")
FIELDS: dict[str, Any] = {"toolset": "acme/payments/billing", "actor": "x", "release_number": 3}


def ticket(**said: Any) -> Ticket | None:
    message = {"id": "request-1", "positional": (), "keywords": FIELDS, "in_ledger": True, "toolset": str(TOOLSET)}
    return Inbox.ticket("pin", Message(**{**message, **said}))


def test_a_ticket_says_all_that_the_claim_has_to_find_in_the_row() -> None:
    assert ticket() == Ticket("request-1", TOOLSET, validate_request("pin", FIELDS))
    assert ticket(positional=("acme/payments/billing", 3), keywords={"actor": "x"}) == ticket()


@pytest.mark.parametrize(
    "said",
    [
        {"in_ledger": False},
        {"toolset": None},
        {"toolset": "acme/payments/billing"},
        {"keywords": {**FIELDS, "release_number": 0}},
    ],
)
def test_a_message_that_says_less_or_is_wrong_has_no_ticket(said: dict[str, Any]) -> None:
    assert ticket(**said) is None
