"""Answers that a command finds in the database itself."""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from release_worker.domain.requests.request import Result

R = TypeVar("R", bound="Result")


def answered(result: type[R], kind: str, **fields: Any) -> R:
    """The result of a request that only reads, found here and now. Raises NotConfigured and the request's errors."""
    from release_worker.operations.answer import answer
    from release_worker.settings import read_settings
    from release_worker.state.registry import installed_components

    settings = read_settings()
    found = answer(settings.database, installed_components(settings.secrets), kind, fields)
    assert isinstance(found, result)
    return found
