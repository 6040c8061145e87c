"""Roll a toolset back to a release: `apply` tells it from the beginning to the end, and calls the others."""

from release_worker.operations.rollback.apply import rollback

__all__ = ["rollback"]
