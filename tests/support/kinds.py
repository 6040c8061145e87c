"""What each kind of request takes besides the toolset and the actor."""

from collections.abc import Mapping
from typing import Any

# Fields that are valid for a toolset with a release 1; `test_kinds.py` holds them to the kinds that there are.
VALID: Mapping[str, dict[str, Any]] = {
    "create_release": {"notes": "n", "labels": {"a": [1, None]}},
    "rollback": {"release_number": 1, "allow_shared_impact": True},
    "apply_plan": {"plan_id": "some-plan"},
    "repair": {"allow_shared_impact": True},
    "check_drift": {},
    "diff": {"release_number": 1},
    "verify": {},
    "status": {},
    "pin": {"release_number": 1, "pinned": False},
    "prune": {"keep": 3},
    "stage": {},
    "publish": {"notes": "n"},
    "discard": {},
    "set_mode": {"mode": "staging"},
    "import_bundle": {"bundle": "0" * 64, "allow_shared_impact": True},
    "mark": {"release_number": 1, "mark": "good", "reason": "it works"},
}
# Of these, those that succeed for any toolset with a release 1, once it is ready for them (`readiness.py`).
CARRIED_OUT: Mapping[str, dict[str, Any]] = {kind: fields for kind, fields in VALID.items() if kind != "apply_plan"}
