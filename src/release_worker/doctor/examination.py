"""All checks at once, each by itself: what is down, or does not answer, costs the others nothing."""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import structlog

from release_worker.doctor.all_at_once import all_at_once
from release_worker.doctor.checks import CHECKS
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Check, Finding, Level, unknown, wrong
from release_worker.errors import BrokerUnavailable, DatabaseUnavailable, NotConfigured, ReleaseWorkerError

LONGEST = 15.0  # seconds for all of them

logger = structlog.get_logger(__name__)

# What these two say for everybody; what needs the same server could only say it again.
_SAY_THAT_IT_IS_AWAY = {"database": DatabaseUnavailable, "broker": BrokerUnavailable}


def examine(
    deployment: Deployment, *, within: float = LONGEST, checks: Sequence[Check] = CHECKS
) -> Mapping[Check, Sequence[Finding]]:
    """What each check found, in their order; no check takes longer than `within` seconds."""
    late: Sequence[Finding] = []
    found = all_at_once(checks, partial(_look, deployment), late=late, within=within)
    away = any(found[check] is late or fails(found[check]) for check in checks if check.name in _SAY_THAT_IT_IS_AWAY)
    return {check: (_late(check, within, away=away),) if found[check] is late else found[check] for check in checks}


def _late(check: Check, within: float, *, away: bool) -> Finding:
    """Of a server that is `away`, its own check says so."""
    said = f"{check.name}: no answer within {within:g} s"
    if away and check.name not in _SAY_THAT_IT_IS_AWAY:
        return unknown(said)
    return wrong(said, "Is the server reachable from here, or overloaded?")


def fails(findings: Iterable[Finding]) -> bool:
    """Whether something is wrong."""
    return any(finding.level is Level.WRONG for finding in findings)


def _look(deployment: Deployment, check: Check) -> Sequence[Finding]:
    try:
        return tuple(check.look(deployment))
    except NotConfigured as error:
        return (wrong(error.message, "Set it, as docs/reference/settings.md says."),)
    except (DatabaseUnavailable, BrokerUnavailable) as error:
        if isinstance(error, _SAY_THAT_IT_IS_AWAY.get(check.name, ())):
            return (wrong(error.message, _remedy(error)),)
        return (unknown(f"{check.name} was not checked: {error.message}"),)
    except ReleaseWorkerError as error:
        return (unknown(f"{check.name} was not checked: {error.message}"),)
    except Exception as error:  # a defect in one check must not hide what the others find
        # As text: outside of a worker, structlog shows the values of variables too, and with them passwords.
        logger.exception("check_broke", check=check.name, exc_info=False, exception=traceback.format_exc())
        return (unknown(f"{check.name} was not checked, because of a defect in the check: {type(error).__name__}"),)


def _remedy(error: ReleaseWorkerError) -> str:
    if isinstance(error, DatabaseUnavailable):
        return "Is PostgreSQL running, and are address, user and password in RELEASE_WORKER_DATABASE_URL right?"
    return "Is the broker running, and are address, user and password in RELEASE_WORKER_BROKER_URL right?"
