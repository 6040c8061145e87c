"""Somebody else's Celery app, which knows nothing of ours but the broker: it notes the events that it is told.

celery -A tests.support.foreign_app worker --queues theirs
"""

import json
import os
from typing import Any

from celery import Celery, Task
from redis import Redis

BROKER = os.environ.get("FOREIGN_BROKER", "memory://")
app = Celery("foreign", broker=BROKER, set_as_current=False)


@app.task(name="theirs.told", bind=True)  # type: ignore[untyped-decorator]
def told(self: Task, event: dict[str, Any]) -> None:
    """Put it where the test looks."""
    address = BROKER.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    with Redis.from_url(address) as redis:
        redis.rpush("foreign:told", json.dumps({"task_id": self.request.id, "event": event}))
