"""The operations of a document, as tools."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from release_worker.domain.editing.catalogue import Asset, Catalogue
from release_worker.domain.editing.contents import refused
from release_worker.domain.editing.names import LONGEST_SLUG, Asked, Slug
from release_worker.domain.openapi.checking import Part, check_document, check_part
from release_worker.domain.openapi.reading import read_value, unreadable
from release_worker.domain.openapi.references import References, is_reference
from release_worker.domain.requests.kinds import validated

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SAFE = ("get", "head", "options", "trace")  # https://www.rfc-editor.org/rfc/rfc9110#name-safe-methods
# What OpenAPI says is not described as parameters.
_NOT_PARAMETERS = ("accept", "content-type", "authorization")
MARK = "openapi"  # the field of an asset's configuration that says that it was imported


@dataclass(frozen=True, slots=True)
class Imported:
    """A document's catalogue: an asset of its own, and a tool for each operation, in the document's order."""

    slug: str
    title: str
    catalogue: Catalogue

    @property
    def urns(self) -> list[str]:
        """Those of its tools."""
        return [tool.urn for tool in self.catalogue.tools]

    @property
    def asset(self) -> Asset:
        """The document itself."""
        return self.catalogue.assets[0]

    @staticmethod
    def is_imported(asset: Mapping[str, Any]) -> bool:
        """Whether an asset, as a deployment's content has it, is a document that was imported."""
        return isinstance(asset["config"], dict) and MARK in asset["config"]

    def owns(self, urn: str) -> bool:
        """Whether a tool of this URN is of a document of this slug."""
        return urn.startswith(_prefix(self.slug)) and ":" not in urn[len(_prefix(self.slug)) :]


def read_openapi(document: bytes, slug: str | None = None) -> Imported:
    """The catalogue of a document, under `slug`, by default made of its title. Raises InvalidRequest for what is no
    document of OpenAPI 3.0 or 3.1 or has no operations, in one sentence."""
    value = read_value(document)
    check_document(value)
    info = value["info"]
    named = validated(_Slug, {"slug": _slug_of(info["title"]) if slug is None else slug}).slug
    tools = [_tool(operation, _prefix(named)) for operation in _operations(value)]
    if not tools:
        raise unreadable("has no operations (paths)")
    title = " ".join(info["title"].split())[:200] or named
    asset = {
        "kind": "openapiv3",
        "slug": named,
        "name": title,
        "sha256": hashlib.sha256(document).hexdigest(),
        "config": {MARK: value["openapi"], "version": info["version"]},
    }
    return Imported(named, title, validated(Catalogue, {"tools": tools, "assets": [asset]}))


def _prefix(slug: str) -> str:
    return f"tools:http:{slug}:"


class _Slug(Asked):
    slug: Slug


def _slug_of(title: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:LONGEST_SLUG]
    if not slug:
        raise refused("slug", "must be given: the title of the document has no letters or digits to make it of")
    return slug


@dataclass(frozen=True, slots=True)
class _Operation:
    """A method of a path. `inherited` is what the path item and the document say for all of theirs."""

    method: str
    path: str
    fields: Mapping[str, Any]
    inherited: Sequence[Mapping[str, Any]]
    references: References

    @property
    def place(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def name(self) -> str:
        """Made of its id, or of method and path."""
        return _word(self.fields.get("operationId") or "") or _word(f"{self.method} {self.path}")

    def said(self, field: str) -> Any:
        """What the operation says, or else the path item, or else the document; None if nobody does."""
        return next((one[field] for one in (self.fields, *self.inherited) if field in one), None)


def _operations(document: Mapping[str, Any]) -> Iterator[_Operation]:
    references = References(document)
    seen: dict[str, str] = {}
    for path, given in (document.get("paths") or {}).items():
        item = _followed(references, given, "PathItem", path)
        for method in METHODS if isinstance(item, dict) else ():
            if isinstance(item.get(method), dict):
                operation = _Operation(method, path, item[method], (item, document), references)
                other = seen.setdefault(operation.name, operation.place)
                if other != operation.place:
                    raise unreadable(
                        f"has two operations that would be the tool {operation.name}: {other} and {operation.place}; "
                        "give each an operationId of its own"
                    )
                yield operation


def _tool(operation: _Operation, prefix: str) -> dict[str, Any]:
    parameters = _parameters(operation)
    body = _body(operation)
    schemas, required = _inputs(parameters, body)
    inputs = {"type": "object", **operation.references.standing_alone(schemas)}
    told = {
        "security": operation.said("security"),
        "tags": operation.fields.get("tags"),
        "deprecated": operation.fields.get("deprecated"),
    }
    definition = {
        "method": operation.method.upper(),
        "path": operation.path,
        "servers": [_url(server) for server in operation.said("servers") or ()],
        "parameters": [
            {"argument": argument, "name": one["name"], "in": one["in"]} for argument, one in parameters.items()
        ],
        "body": body and {"argument": body["argument"], "content_type": body["content_type"]},
        "input_schema": {**inputs, **({"required": required} if required else {})},
        "read_only": operation.method in _SAFE,
        **{name: value for name, value in told.items() if value},
    }
    return {
        "urn": f"{prefix}{operation.name}",
        "name": operation.name,
        "description": _description(operation.fields),
        "definition": definition,
    }


def _parameters(operation: _Operation) -> dict[str, Mapping[str, Any]]:
    """Those of the path item and the operation, which says more, by the names of their arguments: two of one name are
    told apart by where they are."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for given in (operation.inherited[0], operation.fields):
        for one in given.get("parameters") or ():
            parameter = _followed(operation.references, one, "Parameter", operation.place)
            found[parameter["name"], parameter["in"]] = parameter
    described = {key: one for key, one in found.items() if key[1] != "header" or key[0].lower() not in _NOT_PARAMETERS}
    names = [name for name, _ in described]
    return {name if names.count(name) == 1 else f"{place}_{name}": one for (name, place), one in described.items()}


def _body(operation: _Operation) -> dict[str, Any] | None:
    given = _followed(operation.references, operation.fields.get("requestBody"), "RequestBody", operation.place)
    content = given.get("content") if isinstance(given, dict) else None
    if not isinstance(content, dict) or not content:
        return None
    content_type = min(content, key=lambda name: ("json" not in name, name != "application/json"))
    return {
        "argument": "body",
        "content_type": content_type,
        "schema": _schema(content[content_type], given),
        "required": bool(given.get("required")),
    }


def _inputs(
    parameters: Mapping[str, Mapping[str, Any]], body: dict[str, Any] | None
) -> tuple[dict[str, Any], list[str]]:
    """The schema of each argument, and which of them must be given."""
    schemas = {argument: _schema(_with_schema(one), one) for argument, one in parameters.items()}
    required = [argument for argument, one in parameters.items() if one.get("required")]
    if body is not None:
        while body["argument"] in schemas:
            body["argument"] = f"request_{body['argument']}"
        schemas[body["argument"]] = body["schema"]
        required += [body["argument"]] if body["required"] else []
    return schemas, required


def _with_schema(parameter: Mapping[str, Any]) -> Any:
    """What holds the schema of a parameter: itself, or the one media type that it has."""
    return parameter if "schema" in parameter else next(iter((parameter.get("content") or {}).values()), {})


def _schema(holder: Any, described: Mapping[str, Any]) -> Any:
    """With the description of what it is the schema of, unless it has one."""
    schema = holder.get("schema", {}) if isinstance(holder, dict) else {}
    description = described.get("description")
    if isinstance(schema, dict) and description and "description" not in schema and "$ref" not in schema:
        return {**schema, "description": description}
    return schema


def _url(server: Any) -> str:
    """With the defaults of its variables."""
    url: str = server["url"]
    for name, variable in (server.get("variables") or {}).items():
        url = url.replace(f"{{{name}}}", str(variable["default"]))
    return url


def _description(fields: Mapping[str, Any]) -> str | None:
    texts = (fields.get("summary"), fields.get("description"))
    return "\n\n".join(dict.fromkeys(text.strip() for text in texts if text and text.strip())) or None


def _followed(references: References, value: Any, part: Part, place: str) -> Any:
    """The value, or what it refers to, which must be such a part of a document. Raises InvalidRequest."""
    found = references.followed(value)
    if is_reference(value):
        check_part(references.document, part, found, place)
    return found


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
