"""When a schedule fires: at the instants of a cron expression in a time zone, or at one instant.

Expressions have five fields, or six with seconds first, and mean what they mean to Debian's cron, also if the clocks
change. A time of day that is skipped in spring is fired at the end of the gap, and one that comes twice in autumn is
fired the first time only. Expressions whose minute or hour begins with `*`, and those with seconds, follow elapsed
time: what falls into the gap is left out, and what lies in the hour that comes twice is fired both times.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from release_worker.errors import InvalidRequest

LONGEST_CRON = 200
LAST_YEAR = 8999
# In zoneinfo's directory on many machines, and different on each, or not there at all.
_OF_THE_MACHINE = re.compile(r"localtime|posixrules|(posix|right)/.*")

# How far back the latest instant is looked for first, and how much farther each time: an expression that fires each
# second does not cost a look at each second of a month.
_FIRST_LOOK = timedelta(minutes=1)
_WIDER = 8


class Recurrence(Protocol):
    """The instants at which something is due, in UTC."""

    def after(self, instant: datetime) -> Iterator[datetime]:
        """All instants later than this one, each later than the one before; perhaps without end."""
        ...


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    instant: datetime

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The instant, if it is later than this one."""
        if self.instant > instant:
            yield self.instant.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression, read in a zone."""

    expression: str
    zone: ZoneInfo

    def after(self, instant: datetime) -> Iterator[datetime]:
        """All instants later than this one. The same ones come, whatever instant they are looked for from."""
        latest = instant.astimezone(UTC)
        for local in CronSim(self.expression, instant.astimezone(self.zone)):
            found = local.astimezone(UTC)
            # After the first of two equal hours, the wall clock alone would lead back to it from the second.
            if found > latest:
                latest = found
                yield found


def recurrence_of(cron: str | None, fire_at: datetime | None, zone: ZoneInfo) -> Recurrence:
    """The recurrence of a schedule that has one of the two. Raises InvalidRequest for an expression that is none, or
    that never comes."""
    if fire_at is not None:
        return Once(fire_at)
    expression = cron or ""
    if len(expression) > LONGEST_CRON:
        raise _invalid("cron", f"must have at most {LONGEST_CRON} characters")
    found = Cron(expression, zone)
    try:
        next(found.after(datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, ValueError) as error:
        raise _invalid("cron", f"{expression!r} is no cron expression: {error}") from None
    except (StopIteration, OverflowError):
        raise _invalid("cron", f"{expression!r} never comes") from None
    return found


def zone_named(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises InvalidRequest if there is none."""
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo(name)
        if not _OF_THE_MACHINE.fullmatch(name):
            return zone
    raise _invalid("timezone", f"{name[:100]!r} is no IANA time zone, such as Europe/Berlin")


def instant_of(text: str, zone: ZoneInfo) -> datetime:
    """The instant that ISO 8601 text means, in the zone unless it says an offset. Raises InvalidRequest for other
    text, and for a time of day that the clocks skip or pass twice on that day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid("at", f"{text[:100]!r} is no ISO 8601 time, such as 2026-03-29T02:00") from None
    return instant_in(moment, zone)


def instant_in(moment: datetime, zone: ZoneInfo) -> datetime:
    """The same moment in UTC; one without an offset is in the zone. Raises InvalidRequest, as `instant_of`."""
    if not 1970 <= moment.year <= LAST_YEAR:
        raise _invalid("at", f"must lie between the years 1970 and {LAST_YEAR}")
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise _invalid("at", f"the clocks of {zone.key} skip {moment.isoformat()}")
    if first != second:
        raise _invalid("at", f"{moment.isoformat()} comes twice in {zone.key}: say the offset, such as +01:00")
    return first


def in_words(expression: str) -> str | None:
    """What a cron expression means, such as `At 03:00 every day`; None for what is none."""
    try:
        return CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)).explain()
    except (CronSimError, ValueError):
        return None


def first_after(recurrence: Recurrence, instant: datetime) -> datetime | None:
    """The first instant later than this one; None if there is none."""
    return next(recurrence.after(instant), None)


def latest_between(recurrence: Recurrence, after: datetime, until: datetime) -> datetime | None:
    """The last instant that is later than `after` and not later than `until`; None if there is none."""
    look = _FIRST_LOOK
    while True:
        begin = max(after, until - look)
        latest = None
        for instant in recurrence.after(begin):
            if instant > until:
                break
            latest = instant
        if latest is not None or begin == after:
            return latest
        look *= _WIDER


def several_after(recurrence: Recurrence, instant: datetime, count: int) -> list[datetime]:
    """The first `count` instants later than this one, or as many as there are."""
    return list(islice(recurrence.after(instant), count))


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", problems=[{"field": field, "problem": problem}])
