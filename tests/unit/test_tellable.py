"""Whatever error a plug-in raises, the ledger can hold it and the request ends."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from release_worker.domain import canonical_json
from release_worker.domain.tellable import tellable, words_of
from release_worker.errors import IntegrityMismatch, PermanentError, ReleaseWorkerError, StaleState, TransientError


class OursBusy(TransientError):
    """With a signature of its own."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is busy", what=what)


class Mute(PermanentError):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no")


ODD = {
    "a signature of its own": OursBusy("it"),
    "no words": Mute("x"),
    "an id in its details": IntegrityMismatch("x", objects=[uuid4()]),
    "a time": StaleState("x", at=datetime.now(UTC)),
    "a set": StaleState("x", at={1}),
    "no number": StaleState("x", at=float("nan")),
    "a NUL in its message": StaleState("x\x00y"),
    "a NUL in its details": StaleState("x", at="\x00"),
    "half a character": StaleState("x\ud800"),
}


@pytest.mark.parametrize("error", ODD.values(), ids=list(ODD))
def test_an_odd_error_is_told_as_the_nearest_that_can_be_stored(error: ReleaseWorkerError) -> None:
    told = tellable(error)
    text = canonical_json.dumps(told.as_record())
    assert "\\u0000" not in text
    text.encode()
    assert isinstance(told, TransientError) == isinstance(error, TransientError)
    assert type(error).__name__ in told.message


def test_an_ordinary_error_is_told_as_it_is_without_its_causes() -> None:
    error = StaleState(expected_current_release=1, current_release_number=2)
    error.__cause__ = ValueError("values of rows")
    told = tellable(error)
    assert told.as_record() == error.as_record()
    assert told.__cause__ is None


def test_words_are_short_and_printable() -> None:
    assert words_of(ValueError("a\x00b" + "c" * 2000)) == "a\\x00b" + "c" * 997
