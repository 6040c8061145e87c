"""A caller without a database: it asks through the broker, and is answered through the result backend.

Run by the Python of a caller's environment, with a toolset's path; prints what came of it as JSON.
"""

import json
import sys

from release_worker import ReleaseClient
from release_worker.errors import InvalidRequest, NotConfigured, ReleaseNotFound, ResultTimeout

LONG = 60.0
toolset = sys.argv[1]


def refused(kind: type[Exception], number: int) -> str:
    try:
        client.rollback(toolset, number, actor="caller").result(timeout=LONG)
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


with ReleaseClient.from_env() as client:
    first = client.create_release(toolset, actor="caller", notes="build 1", labels={"build": 1})
    released = first.result(timeout=LONG)
    again = client.create_release(toolset, actor="caller", only_if_changed=True).result(timeout=LONG)
    status = client.status(toolset).result(timeout=LONG)
    told = {
        "numbers": [released.release_number, again.release_number],
        "created": [released.created, again.created],
        "result": type(released).__name__,
        "handle": [first.published, client.handle(first.id, "create_release").result(timeout=LONG) == released],
        "status": [status.current_release_number, status.drifted],
        "not_found": refused(ReleaseNotFound, 99),
        "invalid": refused(InvalidRequest, 0),
    }
    try:
        client.handle("never asked", "create_release").result(timeout=0.1)
    except ResultTimeout as error:
        told["timeout"] = str(error.details["timeout"])
    try:
        client.freezes()
    except NotConfigured as error:
        told["needs_database"] = str(error)
print(json.dumps(told))
