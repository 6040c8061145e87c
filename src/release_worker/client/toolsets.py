"""Organizations, projects and toolsets: added, listed and shown."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from release_worker.client.openapi_imports import OpenApiImports
from release_worker.domain.requests.kinds import validated

if TYPE_CHECKING:
    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.editing.owners import (
        Added,
        ListedOrganization,
        ListedProject,
        ShownOrganization,
        ShownProject,
        ShownToolset,
    )
    from release_worker.queries.toolsets import ListedToolset


class Toolsets(OpenApiImports):
    """The methods of a client for what releases are made of. They need a database, and no worker and no broker: what
    they do is done at once, or with `session` when the caller's transaction commits."""

    def add_organization(
        self,
        slug: str,
        *,
        name: str | None = None,
        if_missing: bool = False,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Added":
        """Add an organization, by default called as its slug.

        Raises NameTaken if there is one of that slug. With `if_missing` it is left as it is, and `created` of the
        answer is false. Raises InvalidRequest for a slug that cannot be part of a path.
        """
        from release_worker.domain.editing.owners import NewOrganization
        from release_worker.operations.editing.adding import add_organization

        new, new_id = validated(NewOrganization, {"slug": slug, "name": name}), uuid7()
        return self._edited(
            lambda connection: add_organization(connection, new, new_id, if_missing=if_missing), session
        )

    def add_project(
        self,
        path: str,
        *,
        name: str | None = None,
        if_missing: bool = False,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Added":
        """Add a project, `organization/project`; otherwise as `add_organization`. Raises OwnerNotFound, also if the
        path is in another organization than `organization`, if given."""
        from release_worker.domain.editing.owners import NewProject
        from release_worker.operations.editing.adding import add_project

        asked = {"path": path, "name": name, "organization": organization}
        new, new_id = validated(NewProject, asked), uuid7()
        return self._edited(lambda connection: add_project(connection, new, new_id, if_missing=if_missing), session)

    def add_toolset(
        self,
        path: str,
        *,
        name: str | None = None,
        description: str | None = None,
        settings: Mapping[str, Any] | None = None,
        if_missing: bool = False,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Added":
        """Add a toolset, `organization/project/toolset`, that lists nothing yet; otherwise as `add_project`."""
        from release_worker.domain.editing.owners import NewToolset
        from release_worker.operations.editing.adding import add_toolset

        asked = {
            "path": path,
            "name": name,
            "description": description,
            "settings": {} if settings is None else dict(settings),
            "organization": organization,
        }
        new, new_id = validated(NewToolset, asked), uuid7()
        return self._edited(lambda connection: add_toolset(connection, new, new_id, if_missing=if_missing), session)

    def organizations(self, *, session: "SqlAlchemyTransaction | None" = None) -> "Sequence[ListedOrganization]":
        """All organizations, by slug."""
        from release_worker.queries.owners import list_organizations

        return self._at_once(list_organizations, session)

    def projects(
        self, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Sequence[ListedProject]":
        """All projects, or those of an organization (a slug or an id), by path. Raises OwnerNotFound."""
        from release_worker.queries.owners import list_projects

        return self._at_once(partial(list_projects, organization=organization), session)

    def toolsets(
        self,
        *,
        organization: str | None = None,
        project: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Sequence[ListedToolset]":
        """All live toolsets, those of an organization (a slug or an id), or of a project (`organization/project`), by
        path, each with its current release and what is known of drift. Raises OwnerNotFound and InvalidRequest."""
        from release_worker.queries.toolsets import list_toolsets

        return self._at_once(partial(list_toolsets, organization=organization, project=project), session)

    def show_organization(
        self, organization: str, *, session: "SqlAlchemyTransaction | None" = None
    ) -> "ShownOrganization":
        """An organization (a slug or an id), its projects, and the variations of all its toolsets; values under keys
        that look secret are hidden. Raises OwnerNotFound."""
        from release_worker.queries.owners import show_organization

        secrets = self._settings.secrets
        return self._at_once(lambda connection: show_organization(connection, organization, secrets), session)

    def show_project(
        self, project: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "ShownProject":
        """A project (`organization/project`), its deployment, prompts and configuration, with secrets hidden. Raises
        OwnerNotFound, also for one of another organization than `organization`, if given."""
        from release_worker.queries.owners import show_project

        look = partial(show_project, project=project, secrets=self._settings.secrets, organization=organization)
        return self._at_once(look, session)

    def show_toolset(
        self, toolset: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "ShownToolset":
        """A toolset's lists, settings and variations as they are live, with secrets hidden. Raises ToolsetNotFound,
        also for one of another organization than `organization`, if given."""
        from release_worker.queries.owners import show_toolset

        look = partial(show_toolset, toolset=toolset, secrets=self._settings.secrets, organization=organization)
        return self._at_once(look, session)
