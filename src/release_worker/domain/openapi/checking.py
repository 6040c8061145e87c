"""Whether a value is a document of OpenAPI, by the models of the specification."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from openapi_pydantic.v3 import v3_0, v3_1
from pydantic import BaseModel, ValidationError

from release_worker.domain.openapi.reading import unreadable
from release_worker.domain.text import printable

# Any patch release, read by the model of one that the library knows.
_MODELS = ((re.compile(r"3\.0\.\d+"), v3_0.OpenAPI, "3.0.3"), (re.compile(r"3\.1\.\d+"), v3_1.OpenAPI, "3.1.0"))


def check_document(value: Any) -> None:
    """Raises InvalidRequest, with the first thing that is wrong and where, for anything else than a document of OpenAPI
    3.0 or 3.1."""
    if not isinstance(value, dict):
        raise unreadable("is no document of OpenAPI: it is no object")
    version = value.get("openapi", value.get("swagger"))
    for pattern, model, known in _MODELS:
        if isinstance(version, str) and pattern.fullmatch(version):
            try:
                model.model_validate({**value, "openapi": known})
            except ValidationError as error:
                raise unreadable(f"is no document of OpenAPI {version}: {_first(error)}") from None
            return
    said = "says no version" if version is None else f"says {printable(str(version), 20)}"
    raise unreadable(f"is no document of OpenAPI 3.0 or 3.1: it {said}")


Part = Literal["PathItem", "Parameter", "RequestBody"]
_PARTS: Mapping[str, Mapping[Part, type[BaseModel]]] = {
    "3.0": {"PathItem": v3_0.PathItem, "Parameter": v3_0.Parameter, "RequestBody": v3_0.RequestBody},
    "3.1": {"PathItem": v3_1.PathItem, "Parameter": v3_1.Parameter, "RequestBody": v3_1.RequestBody},
}


def check_part(document: Mapping[str, Any], part: Part, value: Any, place: str) -> None:
    """A reference may lead to where the model of the document has not looked. Raises InvalidRequest for what is no such
    part of one."""
    try:
        _PARTS[document["openapi"][:3]][part].model_validate(value)
    except ValidationError as error:
        raise unreadable(f"refers at {place} to what is no {part}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong. What could be a reference instead is reported as none, too; that is no help."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    telling = [one for one in found if one["loc"][-1:] != ("$ref",)] or found
    place = ".".join(str(part) for part in telling[0]["loc"])
    return f"{place}: {telling[0]['msg']}"
