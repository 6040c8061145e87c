"""A plain Celery task with redis-py's lock: `celery -A benchmarks.peers.celery_peer worker`."""

import os

from celery import Celery
from redis import Redis

from benchmarks.peers.capture import create_release, session_factory

NAME = "peer.create_release"

app = Celery(
    "peer", broker=os.environ["RELEASE_WORKER_BROKER_URL"], backend=os.environ["RELEASE_WORKER_RESULT_BACKEND"]
)
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
sessions = session_factory(os.environ["RELEASE_WORKER_DATABASE_URL"])
redis = Redis.from_url(os.environ["RELEASE_WORKER_REDIS_URL"])


@app.task(name=NAME)
def create(toolset_id: str) -> int:
    """Wait for the toolset, and capture it."""
    with redis.lock(f"toolset:{toolset_id}", timeout=60):
        return create_release(sessions, toolset_id, "celery")
