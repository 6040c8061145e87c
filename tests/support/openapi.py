"""Documents of OpenAPI: a small one as people write it, and a large one of a real API's operations."""

from pathlib import Path
from typing import Any

from release_worker.demo.catalogue import read_catalogue

PETSTORE = (Path(__file__).parent / "apis/petstore.yaml").read_bytes()
_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_RESPONSES = {"200": {"description": "ok"}}


def petstore(old: str = "", new: str = "") -> bytes:
    """The small one, edited."""
    assert old in PETSTORE.decode()
    return PETSTORE.decode().replace(old, new).encode()


def minimal(**fields: Any) -> dict[str, Any]:
    """The smallest document with an operation, and these fields."""
    info = {"title": "Smallest", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": {"/a": {"get": {"responses": _RESPONSES}}}, **fields}


def operation(**fields: Any) -> dict[str, Any]:
    """The smallest document, with these fields of its operation."""
    return minimal(paths={"/a": {"get": {"responses": _RESPONSES, **fields}}})


def github(version: str) -> dict[str, Any]:
    """GitHub's REST API of this release: some thousand operations, from the demo's catalogue."""
    paths: dict[str, Any] = {}
    for name, tool in read_catalogue(version).tools.values():
        paths.setdefault(tool["path"], {})[tool["method"].lower()] = {
            "operationId": name,
            "parameters": [_parameter(one) for one in tool["parameters"]],
            "responses": _RESPONSES,
            **({"requestBody": _body(tool["body"])} if tool["body"] else {}),
        }
    return {"openapi": "3.0.3", "info": {"title": "GitHub REST", "version": version}, "paths": paths}


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": one["type"]} if one["type"] in _TYPES else {}
    required = one["required"] or one["in"] == "path"
    return {"name": one["name"], "in": one["in"], "required": required, "schema": schema}


def _body(body: dict[str, Any]) -> dict[str, Any]:
    required = {"required": body["required"]} if body["required"] else {}
    schema = {"type": "object", "properties": {name: {} for name in body["properties"]}, **required}
    return {"content": {body["content_type"]: {"schema": schema}}}
