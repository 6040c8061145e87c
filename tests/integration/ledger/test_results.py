"""The wait for a result: what ends it, and what does not."""

import pytest

from release_worker import ReleaseClient
from release_worker.errors import DatabaseUnavailable, ResultUnavailable

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/x"


def test_a_database_that_is_away_ends_the_wait_and_says_that_the_request_goes_on() -> None:
    with ReleaseClient(broker_url="redis://127.0.0.1:1/0", database_url=NOWHERE) as client:
        handle = client.handle("r-1", "create_release")
        with pytest.raises(ResultUnavailable, match="the result of request r-1 cannot be read now") as raised:
            handle.result(1)
    assert raised.value.details["request_id"] == "r-1"
    assert "secret" not in str(raised.value)
    assert isinstance(raised.value.__cause__, DatabaseUnavailable)
