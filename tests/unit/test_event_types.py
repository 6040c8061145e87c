"""The page of events lists what there is, and what is promised there are the numbers of the code."""

import re

from release_worker.domain.deliveries import DeliveryPolicy
from release_worker.domain.events import EVENT_TYPES
from release_worker.domain.limits import DEFAULTS
from tests.support.event_page import fields_of_types
from tests.support.repository import read

_SECONDS = {"s": 1, "min": 60, "h": 3600}


def test_the_page_lists_each_type_of_event() -> None:
    assert sorted(fields_of_types()) == sorted(EVENT_TYPES)


def test_the_page_has_the_waits_of_the_code() -> None:
    page, policy = read("docs/reference/events.md"), DeliveryPolicy()
    listed = re.search(r"tried again after ([^.]*), each a tenth", page)
    assert listed is not None
    waits = re.findall(r"(\d+) (s|min|h)\b", listed[1])
    assert tuple(float(number) * _SECONDS[unit] for number, unit in waits) == policy.waits
    assert f"rests for {policy.first_pause:g} s" in page
    assert f"up to {policy.longest_pause / 60:g} min" in page
    assert policy.give_up_after.days == 5
    assert "only failed for five days" in page
    assert f"within {DEFAULTS.deliver_attempt:g} seconds is success" in page
    assert policy.runs == 2
    assert f"up to {DEFAULTS.deliver_run + DEFAULTS.deliver_attempt:g} s" in page
