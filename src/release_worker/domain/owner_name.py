"""Whose toolsets are meant: those of a project, or of an organization."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from release_worker.domain.requests.fields import Name


def _project_path(text: str) -> str:
    if text.count("/") != 1 or not all(text.split("/")):
        raise ValueError("must be organization/project")
    return text


class OwnerName(BaseModel):
    """A project by its path, or an organization by its slug or id. If both are given, the project must be in that
    organization: another's is treated as missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    project: Annotated[Name, AfterValidator(_project_path)] | None = None
    organization: Name | None = None

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if self.project is None and self.organization is None:
            raise ValueError("a project or an organization must be given")
        return self
