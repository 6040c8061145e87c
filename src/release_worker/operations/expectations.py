"""What a caller may demand of the state that it thinks it knows."""

from release_worker.domain.release import Release
from release_worker.errors import StaleState


def stale_state(expected: int | None, current: Release | None) -> StaleState | None:
    """The error if release `expected` (0: none, None: any) is not the current one."""
    number = 0 if current is None else current.release_number
    if expected is None or expected == number:
        return None
    return StaleState(
        f"expected {_named(expected)} to be current, but {_named(number)} is",
        expected_current_release=expected,
        current_release_number=number or None,
    )


def check_expected_release(expected: int | None, current: Release | None) -> None:
    """Raises StaleState if release `expected` (0: none, None: any) is not the current one."""
    if (stale := stale_state(expected, current)) is not None:
        raise stale


def _named(number: int) -> str:
    return f"release {number}" if number else "no release"
