"""A caller's own transactions, on each connection that it may have: asked and committed, asked and rolled back.

Run by the Python of a caller's environment, with a toolset's path and that of `tests/support/doors.py`; prints, for
each way, the number of the release that the commit made, and whether nothing is known of what was rolled back.
"""

import json
import os
import runpy
import sys

from release_worker import ReleaseClient
from release_worker.errors import RequestNotFound

LONG = 60.0
toolset, ways = sys.argv[1:]


def is_unknown(request_id: str) -> bool:
    try:
        client.handle(request_id)
    except RequestNotFound:
        return True
    return False


with ReleaseClient.from_env() as client:
    url, asked = os.environ["RELEASE_WORKER_DATABASE_URL"], {"toolset": toolset, "actor": "caller"}
    told = {}
    for name, way in runpy.run_path(ways)["WAYS"].items():
        undone = way(client, url, False, asked)
        done = way(client, url, True, asked)
        told[name] = [client.handle(done).result(timeout=LONG).release_number, is_unknown(undone)]
print(json.dumps(told))
