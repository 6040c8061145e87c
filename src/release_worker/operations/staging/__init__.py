"""Edit a copy of a toolset, and publish it: `stage`, `publish`, `discard`, and the mode of editing.

What is asked is asked of the toolset, never of the copy, so that all of it is in order with the toolset's releases and
rollbacks.
"""

from release_worker.operations.staging.discard import discard
from release_worker.operations.staging.publish import publish
from release_worker.operations.staging.set_mode import set_mode
from release_worker.operations.staging.stage import stage

__all__ = ["discard", "publish", "set_mode", "stage"]
