"""Releases a toolset, and puts it back to its previous release, with Celery alone.

python app.py ORGANIZATION/PROJECT/TOOLSET [BUILD]
"""

import os
import sys
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as StillRunning

shop = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_BACKEND"])
shop.conf.task_routes = {
    "release_worker.create_release": {"queue": "releases"},
    "release_worker.rollback": {"queue": "rollbacks"},
}
shop.conf.task_serializer = "json"


def ask(task: str, **arguments: Any) -> dict[str, Any]:
    """The result of a task; raises what the worker raised."""
    answer: dict[str, Any] = shop.send_task(f"release_worker.{task}", kwargs=arguments).get(timeout=60)
    return answer


def main(toolset: str, build: str | None = None) -> None:
    released = ask("create_release", toolset=toolset, actor="shop", notes=build, idempotency_key=build)
    print(f"release {released['release_number']}", "made" if released["created"] else "was there already")
    try:
        done = ask("rollback", toolset=toolset, to="previous", actor="shop")
        print(f"back at release {done['to_release_number']}")
    except StillRunning:
        print("still running: it will be done")
    except Exception as refused:
        if type(refused).__name__ != "ReleaseNotFound":  # errors have the names of the reference, and details after it
            raise
        print("nothing to go back to:", refused.args[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
