"""The capture: load the rows, put their content together, add what is new, commit."""

import hashlib
import json
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.models import (
    Deployment,
    Project,
    Release,
    SourceState,
    Toolset,
    ToolsetVersion,
    VariationVersion,
)

Content = dict[str, Any]


def session_factory(database_url: str) -> sessionmaker[Session]:
    """Sessions that read one consistent state, as the product does. No connection is opened."""
    return sessionmaker(create_engine(database_url, isolation_level="REPEATABLE READ"))


def create_release(sessions: sessionmaker[Session], toolset_id: str, actor: str) -> int:
    """Capture a toolset as its next release, and make that current; its number."""
    with sessions.begin() as session:
        toolset = session.get_one(Toolset, UUID(toolset_id))
        version = _toolset_version(session, toolset)
        source = _source_state(session, toolset.project)
        variations = _variation_version(session, toolset)
        newest = select(func.max(Release.release_number)).where(Release.toolset_id == toolset.id)
        release = Release(
            toolset_id=toolset.id,
            release_number=(session.scalar(newest) or 0) + 1,
            kind="release",
            toolset_version=version,
            source_state=source,
            toolset_variations=variations,
            digest=digest([version.digest, source.digest, variations and variations.digest]),
            predecessor_id=toolset.current_release_id,
            released_by=actor,
        )
        toolset.current_release = release
        session.flush()
        return int(release.release_number)


def digest(content: Any) -> str:
    """Of a JSON value: equal content has an equal digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def version_content(row: ToolsetVersion) -> Content:
    """What the digest of a toolset version covers."""
    return {
        "tools": row.tool_urns,
        "tool_positions": row.tool_positions,
        "resources": row.resource_urns,
        "resource_positions": row.resource_positions,
        "name": row.name,
        "settings": row.settings,
    }


def _toolset_version(session: Session, toolset: Toolset) -> ToolsetVersion:
    version = ToolsetVersion(
        toolset_id=toolset.id,
        tool_urns=[tool.tool_urn for tool in toolset.tools],
        tool_positions=[tool.position for tool in toolset.tools],
        resource_urns=[resource.resource_urn for resource in toolset.resources],
        resource_positions=[resource.position for resource in toolset.resources],
        name=toolset.name,
        description=toolset.description,
        settings=toolset.settings,
    )
    version.digest = digest(version_content(version))
    query = select(ToolsetVersion).where(ToolsetVersion.toolset_id == toolset.id)
    latest = session.scalars(query.order_by(ToolsetVersion.version.desc()).limit(1)).first()
    if latest is not None and latest.digest == version.digest:
        return latest
    version.version = 1 if latest is None else latest.version + 1
    version.predecessor_id = None if latest is None else latest.id
    session.add(version)
    return version


def _source_state(session: Session, project: Project) -> SourceState:
    deployment = project.active_deployment
    snapshot = None if deployment is None else _deployment_content(deployment)
    system = {
        "config": {config.key: config.value for config in project.configs},
        "prompts": {
            template.name: {"prompt": template.prompt, "engine": template.engine, "arguments": template.arguments}
            for template in project.templates
            if template.deleted_at is None
        },
    }
    found = digest({"deployment": snapshot, "system": system})
    query = select(SourceState).where(SourceState.project_id == project.id, SourceState.digest == found)
    source = session.scalars(query).one_or_none()
    if source is None:
        source = SourceState(
            project_id=project.id,
            deployment_id=project.active_deployment_id,
            deployment_snapshot=snapshot,
            system_snapshot=system,
            digest=found,
        )
        session.add(source)
    return source


def _deployment_content(deployment: Deployment) -> Content:
    def definitions(rows: list[Any]) -> Content:
        return {
            row.urn: {"name": row.name, "description": row.description, "definition": row.definition} for row in rows
        }

    return {
        "status": deployment.status,
        "assets": {
            f"{asset.kind}/{asset.slug}": {"name": asset.name, "sha256": asset.sha256, "config": asset.config}
            for asset in deployment.assets
        },
        "tools": definitions(deployment.tools),
        "resources": definitions(deployment.resources),
    }


def _variation_version(session: Session, toolset: Toolset) -> VariationVersion | None:
    config = {variation.tool_urn: variation.config for variation in toolset.variations}
    if not config:
        return None
    query = select(VariationVersion).where(VariationVersion.toolset_id == toolset.id)
    latest = session.scalars(query.order_by(VariationVersion.version.desc()).limit(1)).first()
    if latest is not None and latest.digest == digest(config):
        return latest
    version = VariationVersion(
        scope="toolset",
        organization_id=toolset.organization_id,
        toolset_id=toolset.id,
        version=1 if latest is None else latest.version + 1,
        config=config,
        digest=digest(config),
        predecessor_id=None if latest is None else latest.id,
    )
    session.add(version)
    return version
