"""SQL of the owners' rows: where they are, how they join, and what they point at."""

from collections.abc import Mapping
from dataclasses import dataclass

from release_worker.domain.subject import Scope


@dataclass(frozen=True, slots=True)
class Owner:
    """`name`: of its table; `ours`: the condition that its row is the owner of this scope; `of_toolset`: the column of
    a toolset that holds the owner's id; `points_at`: the column that holds the id of what the owner points at."""

    name: str
    ours: str
    of_toolset: str
    points_at: str | None = None

    @property
    def table(self) -> str:
        """SQL: an item for FROM."""
        return f"ours.{self.name}"


TOOLSET = Owner("toolsets", "toolsets.id = :toolset_id", "id", "current_release_id")
PROJECT = Owner("projects", "projects.id = :project_id", "project_id", "active_deployment_id")
ORGANIZATION = Owner("organizations", "organizations.id = :organization_id", "organization_id")
OWNERS: Mapping[Scope, Owner] = {"toolset": TOOLSET, "project": PROJECT, "organization": ORGANIZATION}

# An item for FROM: toolsets as `t`, each with its project `p` and its organization `o`.
OWNED = """
    ours.toolsets t
    JOIN ours.projects p ON p.id = t.project_id
    JOIN ours.organizations o ON o.id = t.organization_id
"""
LIVE = "t.deleted_at IS NULL"
PATH_OF = "o.slug || '/' || p.slug || '/' || t.slug"
PATH = f"{PATH_OF} AS path"
# Columns of `OWNED`: the fields of a Subject, in their order.
SUBJECT = f"t.id AS toolset_id, t.project_id, t.organization_id, {PATH}"
# A column of `OWNED`: the release that is current.
POINTED_AT = f"t.{TOOLSET.points_at}"

# Expressions; NULL if there is none.
CURRENT_RELEASE = "(SELECT current_release_id FROM ours.toolsets WHERE id = :toolset_id)"
ACTIVE_DEPLOYMENT = "(SELECT active_deployment_id FROM ours.projects WHERE id = :project_id)"


def deployment_if_kept(deployment_id: str, otherwise: str) -> str:
    """SQL: the id of a deployment if it is still there, else the expression `otherwise`."""
    return f"coalesce((SELECT id FROM ours.deployments WHERE id = {deployment_id}), {otherwise})"


def path_of_owner(organization_id: str, project_id: str) -> str:
    """SQL: the path of a project; of the organization if the project's id is NULL."""
    return f"""(
        SELECT concat_ws('/', o.slug, (SELECT p.slug FROM ours.projects p WHERE p.id = {project_id}))
        FROM ours.organizations o WHERE o.id = {organization_id})"""


def organization_of(toolset_id: str) -> str:
    """SQL: the id of the organization of a toolset, live or deleted."""
    return f"(SELECT toolsets.organization_id FROM ours.toolsets WHERE toolsets.id = {toolset_id})"


def organization_of_project(project_id: str) -> str:
    """SQL: the id of the organization of a project."""
    return f"(SELECT projects.organization_id FROM ours.projects WHERE projects.id = {project_id})"


def is_live(toolset_id: str) -> str:
    """SQL: whether a toolset is there and not deleted."""
    return f"EXISTS (SELECT FROM ours.toolsets AS t WHERE t.id = {toolset_id} AND {LIVE})"


def current_release_of(toolset_id: str) -> str:
    """SQL: the id of a toolset's current release; NULL if there is none."""
    return f"(SELECT toolsets.current_release_id FROM ours.toolsets WHERE toolsets.id = {toolset_id})"


def is_current(release_id: str) -> str:
    """SQL: whether any toolset points at a release."""
    return f"EXISTS (SELECT FROM ours.toolsets WHERE toolsets.current_release_id = {release_id})"


def neighbours(scope: Scope) -> str:
    """SQL: a query of `id`, the live toolsets `t` of the same project or organization, but for the toolset itself; a
    further condition may follow with AND."""
    return f"""
        SELECT t.id FROM ours.toolsets t
        WHERE t.id <> :toolset_id AND {LIVE} AND t.{OWNERS[scope].of_toolset} = :{scope}_id
    """
