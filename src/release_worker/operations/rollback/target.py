"""Which release a rollback goes to."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.requests.rollback import Destination, Rollback, no_release
from release_worker.state.work import Work
from release_worker.store.targets import number_of, released_since_the_last_rollback


def with_its_number(connection: Connection, toolset_id: UUID, request: Rollback) -> Rollback:
    """The request with the number of the release that it means now. Raises ReleaseNotFound if there is none."""
    if request.to is None:
        return request
    return request.at(_number(connection, toolset_id, request.to, request.toolset))


def beyond_the_rollback(work: Work, request: Rollback) -> str | None:
    """What an undo takes back besides the rollback, in words: the releases that came after it."""
    if request.to != "undo":
        return None
    later = released_since_the_last_rollback(work.connection, work.toolset_id)
    numbers = ", ".join(str(number) for number in later)
    return f"it also takes back what was released after that rollback: {numbers}" if later else None


def _number(connection: Connection, toolset_id: UUID, destination: Destination, toolset: str) -> int:
    number = number_of(connection, toolset_id, destination)
    if number is None:
        raise no_release(destination, toolset)
    return number
