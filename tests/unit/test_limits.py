"""The waits and limits that depend on each other fit together, and a change of one alone that breaks this is seen."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain.limits import DEFAULTS, RULES, Limits, broken_rules, limits_for
from release_worker.errors import NotConfigured
from release_worker.settings import given_settings
from release_worker.worker.config import worker_settings
from release_worker.worker.policy import LeasePolicy, RetryPolicy

# A change of a limit alone, and why it must not be made.
CHANGES: list[tuple[str, float, str]] = [
    ("visibility_timeout", 283, "delivered again"),
    ("longest_delay", 30, "delivered again"),
    ("delay_after_loss", 30, "delivered again"),
    ("hard_time_limit", 130, "delivered again"),
    ("soft_time_limit", 84, "ended in PostgreSQL before"),
    ("statement_timeout", 86, "ended in PostgreSQL before"),
    ("soft_time_limit", 101, "time to cancel the statement"),
    ("hard_time_limit", 109, "time to cancel the statement"),
    ("cancel_timeout", 16, "time to cancel the statement"),
    ("heartbeat_close", 16, "end the heartbeat"),
    ("ledger_lock_timeout", 21, "put it back"),
    ("turn", 44, "as much time as those before it"),
    ("turn", 59, "the end of its turn"),
    ("soft_shutdown_timeout", 21, "the end of its turn"),
    ("renew_every", 5.1, "two renewals in a row may fail"),
    ("lock_socket_timeout", 11, "hangs in Redis"),
    ("lock_wait", 16, "occupy its slot"),
    ("deliver_run", 11, "next one sends to the same"),
    ("deliver_attempt", 13, "next one sends to the same"),
    ("deliver_lease", 35, "next one sends to the same"),
    ("deliver_interval", 9, "during a run"),
    ("deliver_attempt", 83, "must end by itself"),
    ("lease", 1, "occupy its slot"),
    ("lease", 14, "two renewals in a row may fail"),
    ("lease", 230, "may still be at work"),
    ("retries", 18, "may still be at work"),
    ("first_delay", 0.0, "may still be at work"),
    ("longest_delay", 7, "may still be at work"),
    ("attempts", 41, "the error of the last"),
    ("retries", 9, "the error of the last"),
    ("idle_in_transaction_timeout", 91, "what a stopped worker holds"),
    ("operation_lock_timeout", 0.6, "a deadlock"),
    ("owner_wait", 0.6, "a deadlock"),
    ("lease", 16, "behind a silent worker"),
    ("patience", 14, "behind a silent worker"),
    ("sweep_interval", 16, "as often as requests become overdue"),
    ("sign_interval", 10.1, "late with a sign of life"),
    ("sign_lapse", 14, "late with a tick"),
    ("tick_interval", 31, "must not miss an instant"),
    ("on_time", 9, "must not miss an instant"),
    ("patience", 296, "notice a lost message"),
    ("restore_interval", 241, "another visibility timeout"),
    ("restore_mutex", 296, "another visibility timeout"),
]
# They depend on no other limit: a handful of tries within milliseconds, what is work of milliseconds, what is only for
# who watches, and what nobody waits for.
FREE = {
    *("crowd", "immediate_tries", "immediate_delay", "at_once_entries", "at_once_bytes"),
    *("fold_interval", "progress_interval", "events_wait", "tidy_interval", "drift_interval"),
}


def changed(name: str, value: float) -> Limits:
    change: dict[str, Any] = {name: value}
    return replace(DEFAULTS, **change)


def reasons(limits: Limits) -> str:
    return "; ".join(rule.explain(limits) for rule in broken_rules(limits))


def test_the_limits_fit_together() -> None:
    assert reasons(DEFAULTS) == ""


@pytest.mark.parametrize(("name", "value", "reason"), CHANGES, ids=[f"{name}={value:g}" for name, value, _ in CHANGES])
def test_a_limit_that_is_changed_alone_breaks_what_depends_on_it(name: str, value: float, reason: str) -> None:
    assert reason in reasons(changed(name, value))


def test_each_limit_and_each_rule_has_a_change_that_is_noticed() -> None:
    assert {name for name, _, _ in CHANGES} | FREE == {field.name for field in fields(Limits)}
    noticed = {rule for name, value, _ in CHANGES for rule in broken_rules(changed(name, value))}
    assert noticed == set(RULES)


def test_a_deployment_that_sets_nothing_has_the_defaults() -> None:
    assert limits_for() == DEFAULTS
    assert given_settings().limits == DEFAULTS


SECONDS = st.integers(45, 86_400)


@given(soft=st.none() | SECONDS, lease=st.none() | st.integers(8, 86_400))
def test_what_is_derived_from_a_soft_limit_and_a_lease_fits_together(soft: int | None, lease: int | None) -> None:
    assert reasons(limits_for(soft_time_limit=soft, lease=lease)) == ""


@given(hard=st.integers(75, 86_400))
def test_what_is_derived_from_a_hard_limit_fits_together(hard: int) -> None:
    limits = limits_for(hard_time_limit=hard)
    assert reasons(limits) == ""
    assert (limits.hard_time_limit, limits.soft_time_limit, limits.statement_timeout) == (hard, hard - 30, hard - 40)


def test_the_worker_goes_by_the_limits_of_its_deployment() -> None:
    settings = given_settings(
        broker_url="redis://broker.test/0", soft_time_limit=300, hard_time_limit=400, lease_seconds=60
    )
    celery = worker_settings(settings)
    assert (celery["task_soft_time_limit"], celery["task_time_limit"]) == (300, 400)
    assert celery["broker_transport_options"]["visibility_timeout"] == 900
    leases = LeasePolicy.within(settings.limits)
    assert (leases.lease, leases.renew_every, leases.lock_wait) == (60, 20, DEFAULTS.lock_wait)
    assert (settings.limits.statement_timeout, settings.limits.patience) == (290, 60)
    retry = RetryPolicy.within(settings.limits)
    assert retry.retries > DEFAULTS.retries
    assert retry.attempts == DEFAULTS.attempts


def test_the_worker_goes_by_the_defaults_if_its_deployment_sets_none() -> None:
    celery = worker_settings(given_settings(broker_url="redis://broker.test/0"))
    assert (celery["task_soft_time_limit"], celery["task_time_limit"]) == (90, 120)
    assert celery["broker_transport_options"]["visibility_timeout"] == 300
    assert celery["worker_soft_shutdown_timeout"] == DEFAULTS.soft_shutdown_timeout
    assert celery["beat_schedule"]["sweep"]["schedule"] == DEFAULTS.sweep_interval
    assert celery["beat_schedule"]["tick"]["schedule"] == DEFAULTS.tick_interval
    assert RetryPolicy.within(DEFAULTS) == RetryPolicy()
    assert LeasePolicy.within(DEFAULTS) == LeasePolicy()


@pytest.mark.parametrize(
    ("given_limits", "named", "reason"),
    [
        ({"visibility_timeout": 200}, "VISIBILITY_TIMEOUT", "delivered again"),
        ({"hard_time_limit": 600, "visibility_timeout": 300}, "HARD_TIME_LIMIT", "delivered again"),
        ({"soft_time_limit": 100, "hard_time_limit": 110}, "SOFT_TIME_LIMIT", "time to cancel the statement"),
        ({"soft_time_limit": 20}, "SOFT_TIME_LIMIT", "what a stopped worker holds"),
        ({"lease_seconds": 6}, "LEASE_SECONDS", "hangs in Redis"),
    ],
)
def test_limits_that_do_not_fit_together_are_refused_with_the_reason(
    given_limits: dict[str, int], named: str, reason: str
) -> None:
    with pytest.raises(NotConfigured, match=reason) as refused:
        given_settings(**given_limits)
    assert f"RELEASE_WORKER_{named}" in refused.value.details["setting"]


@pytest.mark.parametrize("value", [0, -1, 86_401, "soon"])
def test_a_limit_that_is_no_time_is_refused(value: int | str) -> None:
    with pytest.raises(NotConfigured, match=r"cannot be read: RELEASE_WORKER_LEASE_SECONDS$"):
        given_settings(lease_seconds=value)
