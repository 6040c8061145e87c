"""What owners point at: a toolset at its current release, a project at its active deployment."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import Subject
from release_worker.errors import VersionConflict
from release_worker.store.sending import send
from release_worker.store.statements import parsed

# SQL: make a release the toolset's current one.
POINT_AT_RELEASE = "UPDATE ours.toolsets SET current_release_id = :release_id WHERE id = :toolset_id"

# SQL: the same as a step of a statement that has a step `release`, a row or none.
POINT_AT_NEW_RELEASE = """
        pointed AS (
            UPDATE ours.toolsets SET current_release_id = release.id FROM release
            WHERE toolsets.id = :toolset_id AND :make_current)
    """


def set_current_release(connection: Connection, subject: Subject, release_id: UUID) -> None:
    """Make a release the toolset's current one."""
    parameters = {"release_id": release_id, "toolset_id": subject.toolset_id}
    moved = connection.execute(parsed(POINT_AT_RELEASE), parameters)
    if moved.rowcount != 1:
        raise VersionConflict(reason="the toolset was deleted meanwhile")


def activate_deployment(connection: Connection, project_id: UUID, deployment: object) -> None:
    """Make a deployment (None: no deployment) the project's active one."""
    activated = "UPDATE ours.projects SET active_deployment_id = :deployment_id WHERE id = :project_id"
    send(connection, activated, {"project_id": project_id, "deployment_id": deployment})
