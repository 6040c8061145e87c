"""What a caller may demand of the state that it thinks it knows."""

from release_worker.domain.freeze import Freeze
from release_worker.domain.release import Release
from release_worker.errors import Frozen, StaleState


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


def frozen(freeze: Freeze | None, override: str | None) -> Frozen | None:
    """The error if a freeze is in force and the request gives no reason to override it."""
    return None if freeze is None or override is not None else freeze.refusal


def check_not_frozen(freeze: Freeze | None, override: str | None) -> None:
    """Raises Frozen if a freeze is in force and the request gives no reason to override it."""
    if (refusal := frozen(freeze, override)) is not None:
        raise refusal


def _named(number: int) -> str:
    return f"release {number}" if number else "no release"
