"""Tools that are made of API documents, through the client."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from release_worker.client.toolset_edits import ToolsetEdits

if TYPE_CHECKING:
    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.editing.edits import Edited


class OpenApiImports(ToolsetEdits):
    """The method of a client that makes tools of an OpenAPI document."""

    def import_openapi(
        self,
        toolset: str,
        document: bytes | str | Mapping[str, Any],
        *,
        slug: str | None = None,
        create: bool = False,
        override_freeze: str | None = None,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Edited":
        """Make a tool of each operation of an OpenAPI document, 3.0 or 3.1, in JSON or YAML, and list them in the
        toolset; with `create`, also make what of its path is not there.

        The tools are deployed beside what the project's deployment has already, under URNs `tools:http:SLUG:NAME`; the
        slug is made of the document's title if it is not given, and says which document it is. The same again changes
        nothing; an edited document of the same slug changes, adds and removes its own tools alone. What was taken from
        the list by hand stays away. References must lead within the document.

        Raises InvalidRequest for what is no such document, in one sentence, and for a slug whose tools were not
        imported; otherwise as `edit_toolset`.
        """
        from release_worker.domain.openapi.reading import written
        from release_worker.domain.openapi.tools import read_openapi
        from release_worker.domain.requests.kinds import validate_request
        from release_worker.operations.editing.import_openapi import Target, import_openapi

        imported = read_openapi(document if isinstance(document, bytes) else written(document), slug)
        named = validate_request("check_drift", {"toolset": toolset, "organization": organization})
        target = Target(
            toolset=named.toolset,
            organization=named.organization,
            new_ids=(uuid7(), uuid7(), uuid7()) if create else None,
            override_freeze=override_freeze,
        )
        registry = self._components()
        return self._edited(lambda connection: import_openapi(connection, registry, target, imported), session)
