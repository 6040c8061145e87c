"""The arguments and options that several commands share."""

import os
import pwd
from typing import Annotated, Any

import typer

from release_worker.errors import InvalidRequest


def checked_toolset(value: str) -> str:
    """The name of a toolset. Raises typer.BadParameter for what cannot be one."""
    from release_worker.domain.requests.kinds import validate_request

    try:
        return validate_request("check_drift", {"toolset": value}).toolset
    except InvalidRequest as error:
        raise typer.BadParameter(str(error.details["problems"][0]["problem"])) from None


def checked_toolset_or_none(value: str | None) -> str | None:
    """The same for an option that may be left out."""
    return None if value is None else checked_toolset(value)


def user_name() -> str:
    """The operating system's name for who runs this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def parsed_labels(given: list[str] | None) -> dict[str, Any] | None:
    """`["build=991"]` as `{"build": "991"}`. Raises typer.BadParameter."""
    labels: dict[str, Any] = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{one!r} is not of the form KEY=VALUE", param_hint="--label")
        if key in labels:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="--label")
        labels[key] = value
    return labels or None


ToolsetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOOLSET", help="organization/project/toolset, or the toolset's UUID.", callback=checked_toolset
    ),
]
ToolsetOrAll = Annotated[
    str | None,
    typer.Argument(
        metavar="TOOLSET",
        help="organization/project/toolset, or the toolset's UUID.",
        callback=checked_toolset_or_none,
        show_default=False,
    ),
]
ToolsetOption = Annotated[
    str | None,
    typer.Option("--toolset", metavar="TOOLSET", help="Only those of this toolset.", callback=checked_toolset_or_none),
]
NumberArgument = Annotated[int, typer.Argument(metavar="N", min=1, help="The release's number, as `list` shows it.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead, for scripts.")]

Actor = Annotated[
    str,
    typer.Option(
        default_factory=user_name,
        show_default="your user name",
        metavar="NAME",
        help="Who asks for it; kept in the records.",
    ),
]
Organization = Annotated[
    str | None,
    typer.Option(
        metavar="ORGANIZATION",
        help="Whose it must be, by slug or id; what another organization has counts as not there.",
    ),
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the records.")]
Project = Annotated[
    str | None,
    typer.Option(metavar="ORGANIZATION/PROJECT", help="Every toolset of this project, in place of TOOLSET."),
]
ExpectedRelease = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Do it only if release N is current when it starts; 0 for none yet."),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The same key again, for the same, gives the first result; nothing is done twice.",
    ),
]
OverrideFreeze = Annotated[
    str | None,
    typer.Option("--override-freeze", metavar="REASON", help="Do it even during a freeze; why is kept in the records."),
]
Timeout = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="How long to wait for the result; after that, the request is kept and the exit status is 4.",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option("--no-wait", help="Only ask, and print the request's id."),
]
IfMissing = Annotated[
    bool, typer.Option("--if-missing", help="If it is there already, leave it as it is: that is no error.")
]
OwnersName = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="What it is called; its slug if left out.")
]
