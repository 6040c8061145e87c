"""New slugs of toolsets, projects and organizations, and new names of those that are no component's content. What is
renamed must be held."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from release_worker.domain.editing.edits import Renamed
from release_worker.domain.subject import Subject
from release_worker.errors import NameTaken
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.relations import path_of_owner
from release_worker.store.statements import parsed


class Renaming(NamedTuple):
    """The path now, and what of slug and name was different before."""

    path: str
    changes: Mapping[str, Renamed]


# Whether another has the slug is asked first: a violation of its constraint says that somebody took it just now.


def rename_toolset(connection: Connection, subject: Subject, slug: str) -> Renaming:
    """Give the toolset this slug. Raises NameTaken."""
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
    before, after = subject.path, toolset_of_id(connection, subject.toolset_id).path
    return Renaming(after, _renamed({"slug": (before.rpartition("/")[2], after.rpartition("/")[2])}))


def rename_project(connection: Connection, subject: Subject, *, slug: str | None, name: str | None) -> Renaming:
    """Give the project a new slug or name if one is given. Raises NameTaken."""
    taken = """
        SELECT EXISTS (
            SELECT FROM ours.projects WHERE organization_id = :organization_id AND slug = :slug AND id <> :project_id)
    """
    values = {**subject.parameters, "slug": slug, "name": name}
    if slug is not None and connection.execute(parsed(taken), values).scalar_one():
        raise NameTaken(scope="project", name=f"{subject.path.rpartition('/')[0]}/{slug}")
    changes = _rename(connection, "ours.projects", ":project_id", values)
    return Renaming(_path(connection, ":project_id", values), changes)


def rename_organization(connection: Connection, subject: Subject, *, slug: str | None, name: str | None) -> Renaming:
    """Give the organization a new slug or name if one is given. Raises NameTaken."""
    taken = "SELECT EXISTS (SELECT FROM ours.organizations WHERE slug = :slug AND id <> :organization_id)"
    values = {**subject.parameters, "slug": slug, "name": name}
    if slug is not None and connection.execute(parsed(taken), values).scalar_one():
        raise NameTaken(scope="organization", name=slug)
    changes = _rename(connection, "ours.organizations", ":organization_id", values)
    return Renaming(_path(connection, "CAST(NULL AS uuid)", values), changes)


def _rename(connection: Connection, table: str, its_id: str, values: Mapping[str, object]) -> Mapping[str, Renamed]:
    """Write what is given of `slug` and `name`."""
    if values["slug"] is None and values["name"] is None:
        return {}
    rename = f"""
        UPDATE {table} AS owner SET slug = coalesce(:slug, owner.slug), name = coalesce(:name, owner.name)
        FROM (SELECT id, slug, name FROM {table} WHERE id = {its_id}) AS before
        WHERE owner.id = before.id
        RETURNING before.slug, owner.slug, before.name, owner.name
    """
    slug_before, slug, name_before, name = connection.execute(parsed(rename), values).one()
    return _renamed({"slug": (slug_before, slug), "name": (name_before, name)})


def _renamed(pairs: Mapping[str, tuple[str, str]]) -> Mapping[str, Renamed]:
    return {what: Renamed(before, after) for what, (before, after) in pairs.items() if before != after}


def _path(connection: Connection, project_id: str, values: Mapping[str, object]) -> str:
    path: str = connection.execute(
        parsed(f"SELECT {path_of_owner(':organization_id', project_id)}"), values
    ).scalar_one()
    return path
