"""The broker, and the Redis of locks and results."""

import re
from collections.abc import Iterator

from release_worker.broker.facts import ServerFacts, ahead, server_facts
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Finding, ok, unknown, warning, wrong
from release_worker.queries.health import postgres_facts
from release_worker.queries.reading import reading

OLDEST = {"Redis": (6, 2), "Valkey": (7, 2), "RabbitMQ": (3, 10)}
NOTICED_SKEW = 1.0  # seconds


def answers(deployment: Deployment) -> Iterator[Finding]:
    """Does the broker answer, and is it new enough?"""
    facts = server_facts(deployment.broker, deployment.settings.limits)
    yield ok(f"{facts.product} {facts.version} answers")
    oldest = OLDEST.get(facts.product)
    if oldest is not None and _number(facts.version) < oldest:
        needed = ".".join(map(str, oldest))
        yield wrong(f"{facts.product} {facts.version} is too old", f"Use {facts.product} {needed} or newer.")


def eviction(deployment: Deployment) -> Iterator[Finding]:
    """Does a Redis that is short of memory refuse, or throw away what it holds?"""
    for use, facts in deployment.redis_facts():
        policy = _setting(facts, "maxmemory-policy")
        if policy is None:
            yield unknown(f"the Redis of {use} does not tell its maxmemory-policy", "See that it is noeviction.")
        elif policy == "noeviction":
            yield ok(f"the Redis of {use} evicts nothing (noeviction)")
        else:
            yield wrong(
                f"the Redis of {use} has maxmemory-policy {policy}: it may throw away messages, locks or results",
                "In redis-cli: CONFIG SET maxmemory-policy noeviction, and the same in its redis.conf.",
            )


def persistence(deployment: Deployment) -> Iterator[Finding]:
    """Do messages outlive a restart of the broker?"""
    for use, facts in deployment.redis_facts():
        if "broker" not in use:
            continue
        appends = _setting(facts, "appendonly")
        if appends is None:
            yield unknown("the Redis of the broker does not tell whether it is persistent", "See that AOF is on.")
        elif appends == "yes":
            yield ok("messages outlive a restart of Redis (appendonly)")
        else:
            yield warning(
                "messages do not outlive a restart of Redis: those of callers without a database are lost, and the "
                "others are late",
                "In redis-cli: CONFIG SET appendonly yes, and the same in its redis.conf.",
            )


def locks(deployment: Deployment) -> Iterator[Finding]:
    """Is there a Redis for the locks?"""
    if deployment.settings.lock_url is None:
        yield warning(
            "there are no locks: two workers may get in each other's way on one toolset, and try again",
            "Set RELEASE_WORKER_REDIS_URL.",
        )


def clocks(deployment: Deployment) -> Iterator[Finding]:
    """Do this host, PostgreSQL and Redis agree about the time?"""

    def of_postgres() -> float:
        with reading(deployment.database()) as connection:
            return postgres_facts(connection).now.timestamp()

    yield _skew(deployment, "PostgreSQL", ahead(deployment.now, of_postgres))
    redis = deployment.redis_servers().get("broker")
    if redis is not None:

        def of_redis() -> float:
            facts = server_facts(redis, deployment.settings.limits)
            return facts.now if facts.now is not None else deployment.now()

        yield _skew(deployment, "Redis", ahead(deployment.now, of_redis))


def _skew(deployment: Deployment, whose: str, seconds: float) -> Finding:
    lasts = deployment.settings.limits.sweep_interval
    if abs(seconds) <= NOTICED_SKEW:
        return ok(f"the clocks of this host and of {whose} agree")
    found = f"the clock of {whose} is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this host's"
    remedy = "Let NTP set the clocks of all hosts (chronyc tracking, timedatectl)."
    if abs(seconds) < lasts:
        return warning(found, remedy)
    return wrong(f"{found}; if beat and workers are as far apart, workers drop beat's messages as expired", remedy)


def _setting(facts: ServerFacts, name: str) -> str | None:
    return None if facts.settings is None else facts.settings.get(name)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
