"""Addresses of Redis in two languages."""


def as_redis_reads_it(broker_url: str) -> str:
    """A URL of kombu's as redis-py wants it."""
    return broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
