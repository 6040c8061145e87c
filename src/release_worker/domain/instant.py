"""Moments as people write them."""

from datetime import UTC, datetime


def parse_instant(text: str) -> datetime:
    """`2026-12-24T18:00+01:00`, `2026-12-24T18:00Z`, `2026-12-24`: ISO 8601, in UTC if it says no zone. Raises
    ValueError for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 2026-12-24T18:00+01:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
