"""Roll a toolset back to a release: `rollback` calls the others, from the beginning to the end."""

from release_worker.operations.rollback.rollback import rollback

__all__ = ["rollback"]
