"""Toolsets to exercise a component on: its own, those that share its owner, and those that do not."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from release_worker.domain.subject import Scope, Subject
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose state an edit is to change: a toolset, the project and the organization that it belongs to."""

    toolset_id: UUID
    project_id: UUID
    organization_id: UUID

    @property
    def parameters(self) -> dict[str, object]:
        """What a component's SQL may refer to."""
        return {
            "toolset_id": self.toolset_id,
            "project_id": self.project_id,
            "organization_id": self.organization_id,
        }

    @property
    def subject(self) -> Subject:
        return Subject(self.toolset_id, self.project_id, self.organization_id, path=str(self.toolset_id))


Edit = Callable[[Connection, Owner], object]


@dataclass(frozen=True, slots=True)
class Estate:
    """`ours` is edited and restored. `neighbour` is as near to it as another owner of the same scope can be, `stranger`
    is of another organization, and fresh. `partner` is another toolset of the same owner, None in scope toolset."""

    ours: Owner
    partner: Owner | None
    neighbour: Owner
    stranger: Owner


def build_estate(engine: Engine, scope: Scope) -> Estate:
    """Write the organizations, projects and toolsets, of slugs that are new, and commit them."""
    with engine.begin() as connection:
        organization, project = _organization(connection), None
        ours = _toolset(connection, organization, project)
        beside = _toolset(connection, organization, ours.project_id)
        cousin = _toolset(connection, organization, None)
        foreigner = _toolset(connection, _organization(connection), None)
        stranger = _toolset(connection, _organization(connection), None)
    match scope:
        case "toolset":
            return Estate(ours, None, beside, stranger)
        case "project":
            return Estate(ours, beside, cousin, stranger)
        case "organization":
            return Estate(ours, cousin, foreigner, stranger)


def _organization(connection: Connection) -> UUID:
    insert = "INSERT INTO ours.organizations (slug, name) VALUES (:slug, 'Exercise') RETURNING id"
    made: UUID = connection.execute(parsed(insert), {"slug": f"exercise-{uuid4().hex}"}).scalar_one()
    return made


def _toolset(connection: Connection, organization: UUID, project: UUID | None) -> Owner:
    """A toolset of this project, or of a new one."""
    if project is None:
        insert = """
            INSERT INTO ours.projects (organization_id, slug, name) VALUES (:organization, :slug, 'Exercise')
            RETURNING id
        """
        values = {"organization": organization, "slug": f"exercise-{uuid4().hex}"}
        project = connection.execute(parsed(insert), values).scalar_one()
    insert = """
        INSERT INTO ours.toolsets (organization_id, project_id, slug, name)
        VALUES (:organization, :project, :slug, 'Exercise') RETURNING id
    """
    values = {"organization": organization, "project": project, "slug": f"exercise-{uuid4().hex}"}
    return Owner(connection.execute(parsed(insert), values).scalar_one(), project, organization)
