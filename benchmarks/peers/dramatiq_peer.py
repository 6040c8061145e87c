"""A Dramatiq actor with redis-py's lock: `dramatiq benchmarks.peers.dramatiq_peer`."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

from benchmarks.peers.capture import create_release, session_factory

NAME = "create_release"

dramatiq.set_broker(RedisBroker(url=os.environ["RELEASE_WORKER_REDIS_URL"]))
sessions = session_factory(os.environ["RELEASE_WORKER_DATABASE_URL"])
redis = Redis.from_url(os.environ["RELEASE_WORKER_REDIS_URL"])


@dramatiq.actor(actor_name=NAME)
def create(toolset_id: str) -> None:
    """Wait for the toolset, and capture it."""
    with redis.lock(f"toolset:{toolset_id}", timeout=60):
        create_release(sessions, toolset_id, "dramatiq")
