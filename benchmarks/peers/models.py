"""The tables as mapped classes."""

from sqlalchemy.orm import DeclarativeBase, Mapped, relationship

from release_worker.store.tables import metadata

TABLES = metadata.tables


class Base(DeclarativeBase):
    metadata = metadata


class Asset(Base):
    __table__ = TABLES["deployment_assets"]


class ToolDefinition(Base):
    __table__ = TABLES["tool_definitions"]


class ResourceDefinition(Base):
    __table__ = TABLES["resource_definitions"]


class Deployment(Base):
    __table__ = TABLES["deployments"]

    assets: Mapped[list[Asset]] = relationship()
    tools: Mapped[list[ToolDefinition]] = relationship()
    resources: Mapped[list[ResourceDefinition]] = relationship()


class PromptTemplate(Base):
    __table__ = TABLES["prompt_templates"]


class SystemConfig(Base):
    __table__ = TABLES["system_configs"]


class Project(Base):
    __table__ = TABLES["projects"]

    active_deployment: Mapped[Deployment | None] = relationship(
        foreign_keys=[TABLES["projects"].c.active_deployment_id]
    )
    templates: Mapped[list[PromptTemplate]] = relationship()
    configs: Mapped[list[SystemConfig]] = relationship()


class ToolsetTool(Base):
    __table__ = TABLES["toolset_tools"]


class ToolsetResource(Base):
    __table__ = TABLES["toolset_resources"]


class Variation(Base):
    __table__ = TABLES["variations"]


class ToolsetVersion(Base):
    __table__ = TABLES["toolset_versions"]


class SourceState(Base):
    __table__ = TABLES["source_states"]


class VariationVersion(Base):
    __table__ = TABLES["variation_versions"]


class Release(Base):
    __table__ = TABLES["toolset_releases"]

    toolset_version: Mapped[ToolsetVersion] = relationship()
    source_state: Mapped[SourceState] = relationship()
    toolset_variations: Mapped[VariationVersion | None] = relationship(
        foreign_keys=[TABLES["toolset_releases"].c.toolset_variations_version_id]
    )


class Toolset(Base):
    __table__ = TABLES["toolsets"]

    project: Mapped[Project] = relationship()
    tools: Mapped[list[ToolsetTool]] = relationship(order_by=TABLES["toolset_tools"].c.position)
    resources: Mapped[list[ToolsetResource]] = relationship(order_by=TABLES["toolset_resources"].c.position)
    variations: Mapped[list[Variation]] = relationship()
    current_release: Mapped[Release | None] = relationship(
        foreign_keys=[TABLES["toolsets"].c.current_release_id], post_update=True
    )
