"""What a caller may demand of the state that it thinks it knows."""

from release_worker.domain.release import Release
from release_worker.errors import StaleState


def check_expected_release(expected: int | None, current: Release | None) -> None:
    """Raises StaleState where release `expected` (0: none, None: any) is not the current one."""
    number = 0 if current is None else current.release_number
    if expected is not None and expected != number:
        raise StaleState(
            f"expected {_named(expected)} to be current, but {_named(number)} is",
            expected_current_release=expected,
            current_release_number=number or None,
        )


def _named(number: int) -> str:
    return f"release {number}" if number else "no release"
