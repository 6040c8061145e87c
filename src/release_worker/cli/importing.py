"""`toolset import`."""

from pathlib import Path
from typing import Annotated

import typer

from release_worker.cli.documents import read_document
from release_worker.cli.editing import OverrideFreeze, tell_edited
from release_worker.cli.live_client import database_client
from release_worker.cli.options import AsJson, Organization, checked_toolset


def import_document(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenAPI 3.0 or 3.1, in JSON or YAML.")],
    into: Annotated[
        str,
        typer.Option(
            "--into", metavar="TOOLSET", help="organization/project/toolset, or its UUID.", callback=checked_toolset
        ),
    ],
    slug: Annotated[
        str | None,
        typer.Option("--slug", metavar="SLUG", help="Which document it is; made of its title if left out."),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Add what of the organization, the project and the toolset is not there.")
    ] = False,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Make tools of the operations of an API document.

    They are deployed beside what the project has, under the URNs tools:http:SLUG:NAME, and listed in the toolset. The
    same again changes nothing; an edited document changes its own tools alone.

    Example: release-worker toolset import openapi.json --into acme/petstore/public --create
    """
    document = read_document(file, "FILE")
    with database_client() as client:
        imported = client.import_openapi(
            into,
            document,
            slug=slug,
            create=create,
            override_freeze=override_freeze,
            organization=organization,
        )
    tell_edited(imported, as_json=as_json)
