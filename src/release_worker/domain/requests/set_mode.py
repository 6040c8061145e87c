"""Say how a toolset is edited."""

from typing import Literal

from release_worker.domain.requests.request import Request, Result

EditingMode = Literal["iteration", "staging"]


class SetModeResult(Result):
    """The mode that the toolset has now."""

    mode: EditingMode


class SetMode(Request):
    """Say how a toolset is edited: itself (`iteration`), or through a staged copy that is not gone when it is published
    (`staging`)."""

    kind = "set_mode"
    queue = "maintenance"
    result = SetModeResult
    positional = ("toolset", "mode", "actor")

    mode: EditingMode
