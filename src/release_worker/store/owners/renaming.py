"""New slugs of toolsets, projects and organizations, and new names of those that are no component's content. What is
renamed must be held."""

from collections.abc import Mapping

from sqlalchemy import Connection

from release_worker.domain.subject import Subject
from release_worker.errors import NameTaken
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.relations import path_of_owner
from release_worker.store.statements import parsed

# Whether another has the slug is asked first: a violation of its constraint says that somebody took it just now.


def rename_toolset(connection: Connection, subject: Subject, slug: str) -> str:
    """The toolset's new path. Raises NameTaken."""
    taken = """
        SELECT EXISTS (
            SELECT FROM ours.toolsets
            WHERE project_id = :project_id AND slug = :slug AND deleted_at IS NULL AND id <> :toolset_id)
    """
    values = {**subject.parameters, "slug": slug}
    path = f"{subject.path.rpartition('/')[0]}/{slug}"
    if connection.execute(parsed(taken), values).scalar_one():
        raise NameTaken(scope="toolset", name=path)
    rename = "UPDATE ours.toolsets SET slug = :slug, updated_at = now() WHERE id = :toolset_id AND slug <> :slug"
    connection.execute(parsed(rename), values)
    return toolset_of_id(connection, subject.toolset_id).path


def rename_project(connection: Connection, subject: Subject, *, slug: str | None, name: str | None) -> str:
    """The project's path, with a new slug or name if one is given. Raises NameTaken."""
    taken = """
        SELECT EXISTS (
            SELECT FROM ours.projects WHERE organization_id = :organization_id AND slug = :slug AND id <> :project_id)
    """
    values = {**subject.parameters, "slug": slug, "name": name}
    if slug is not None and connection.execute(parsed(taken), values).scalar_one():
        raise NameTaken(scope="project", name=f"{subject.path.rpartition('/')[0]}/{slug}")
    rename = (
        "UPDATE ours.projects SET slug = coalesce(:slug, slug), name = coalesce(:name, name) WHERE id = :project_id"
    )
    if slug is not None or name is not None:
        connection.execute(parsed(rename), values)
    return _path(connection, ":project_id", values)


def rename_organization(connection: Connection, subject: Subject, *, slug: str | None, name: str | None) -> str:
    """The organization's slug, with a new slug or name if one is given. Raises NameTaken."""
    taken = "SELECT EXISTS (SELECT FROM ours.organizations WHERE slug = :slug AND id <> :organization_id)"
    values = {**subject.parameters, "slug": slug, "name": name}
    if slug is not None and connection.execute(parsed(taken), values).scalar_one():
        raise NameTaken(scope="organization", name=slug)
    rename = """
        UPDATE ours.organizations SET slug = coalesce(:slug, slug), name = coalesce(:name, name)
        WHERE id = :organization_id
    """
    if slug is not None or name is not None:
        connection.execute(parsed(rename), values)
    return _path(connection, "CAST(NULL AS uuid)", values)


def _path(connection: Connection, project_id: str, values: Mapping[str, object]) -> str:
    path: str = connection.execute(
        parsed(f"SELECT {path_of_owner(':organization_id', project_id)}"), values
    ).scalar_one()
    return path
