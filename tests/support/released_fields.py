"""The fields that each kind of request had when it was last released: workers of that release refuse any other.

After a release, write them anew: `.venv/bin/python -m tests.support.released_fields`.
"""

import json

from release_worker.domain.requests.kinds import KINDS
from tests.support.repository import ROOT

FILE = ROOT / "tests/upgrade/released_fields.json"


def released_fields() -> dict[str, list[str]]:
    """By kind. A kind that came since is not there."""
    fields: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return fields


def write() -> None:
    """As they are now."""
    fields = {name: sorted(kind.model_fields) for name, kind in sorted(KINDS.items())}
    FILE.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
