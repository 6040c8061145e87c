"""A deliverer that is killed when a receiver has answered, before that is noted.

python -m tests.support.dying_deliverer DATABASE_URL
"""

import os
import signal
import sys

from release_worker.domain.database import Database
from release_worker.domain.deliveries import Message, Receiver, Undelivered
from release_worker.domain.webhook_rules import WebhookRules
from release_worker.operations.deliver_events import deliver_events
from release_worker.settings import read_settings
from release_worker.store.engine import make_engine
from release_worker.worker.webhooks import WebhookPoster

_POSTER = WebhookPoster(WebhookRules(private=True, http=True), seconds=30)


def post_and_die(receiver: Receiver, message: Message) -> Undelivered | None:
    assert _POSTER.post(receiver, message) is None
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is dead")


if __name__ == "__main__":
    deliver_events(make_engine(Database(sys.argv[1], read_settings().database_schema)), post_and_die)
