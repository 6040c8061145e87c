"""Documents of OpenAPI, without a server: what becomes of an operation, and what is refused in one sentence."""

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
import yaml

from release_worker.domain.editing.catalogue import Definition
from release_worker.domain.openapi.reading import LARGEST_DOCUMENT, written
from release_worker.domain.openapi.tools import read_openapi
from release_worker.errors import InvalidRequest
from tests.support.openapi import PETSTORE, github, minimal, operation


def tools_of(document: Any, **options: Any) -> dict[str, Definition]:
    content = document if isinstance(document, bytes) else written(document)
    return {tool.name or "": tool for tool in read_openapi(content, **options).catalogue.tools}


def definition_of(document: Any) -> dict[str, Any]:
    [tool] = tools_of(document).values()
    definition: dict[str, Any] = tool.definition
    return definition


def test_each_operation_is_a_tool_named_by_its_id_or_by_method_and_path() -> None:
    imported = read_openapi(PETSTORE)
    assert (imported.slug, imported.title) == ("pet-store", "Pet Store")
    assert imported.urns == [
        "tools:http:pet-store:listPets",
        "tools:http:pet-store:createPet",
        "tools:http:pet-store:pets_get_one",
        "tools:http:pet-store:delete_pets_petId",
    ]
    assert imported.asset.config == {"openapi": "3.0.3", "version": "1.0"}
    assert imported.asset.sha256 == sha256(PETSTORE).hexdigest()


def test_a_tool_has_what_is_needed_to_call_it() -> None:
    tools = tools_of(PETSTORE)
    assert tools["createPet"].description == "Add a pet\n\nThe pet gets an id."
    definition = tools["createPet"].definition
    assert (definition["method"], definition["path"]) == ("POST", "/pets")
    assert definition["servers"] == ["https://eu.pets.example/v1"]
    assert definition["body"] == {"argument": "body", "content_type": "application/json"}
    assert definition["input_schema"] == {
        "type": "object",
        "properties": {"body": {"$ref": "#/$defs/Pet"}},
        "required": ["body"],
        "$defs": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"$ref": "#/$defs/Kind"},
                    "parents": {"$ref": "#/$defs/Pets"},
                },
            },
            "Kind": {"type": "string", "enum": ["cat", "dog", "yes"]},
            "Pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}},
        },
    }
    assert (definition["read_only"], tools["listPets"].definition["read_only"]) == (False, True)


def test_parameters_of_the_path_and_by_reference_are_arguments_and_headers_of_http_are_not() -> None:
    tools = tools_of(PETSTORE)
    listing = tools["listPets"].definition
    assert listing["parameters"] == [{"argument": "limit", "name": "limit", "in": "query"}]
    assert listing["input_schema"]["properties"] == {
        "limit": {"type": "integer", "maximum": 100, "default": 20, "description": "How many at most"}
    }
    getting = tools["pets_get_one"].definition["input_schema"]
    assert getting["required"] == ["petId"]
    assert getting["properties"]["petId"]["maximum"] == 9007199254740993
    deleting = tools["delete_pets_petId"].definition
    assert (deleting["deprecated"], deleting["security"]) == (True, [{"token": []}])


def test_parameters_of_one_name_are_told_apart_and_a_body_finds_a_name() -> None:
    def named(name: str, place: str) -> dict[str, Any]:
        return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}

    definition = definition_of(
        operation(
            parameters=[named("id", "path"), named("id", "query"), named("body", "query")],
            requestBody={"content": {"text/plain": {"schema": {"type": "string"}}}},
        )
    )
    assert [one["argument"] for one in definition["parameters"]] == ["path_id", "query_id", "body"]
    assert definition["body"] == {"argument": "request_body", "content_type": "text/plain"}
    assert set(definition["input_schema"]["properties"]) == {"path_id", "query_id", "body", "request_body"}


def test_what_the_operation_says_counts_before_what_its_path_and_its_document_say() -> None:
    item = {
        "servers": [{"url": "https://path.test"}],
        "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
        "get": {"responses": {}, "parameters": [{"name": "q", "in": "query", "schema": {"type": "integer"}}]},
    }
    definition = definition_of(minimal(servers=[{"url": "https://document.test"}], paths={"/a": item}))
    assert definition["servers"] == ["https://path.test"]
    assert definition["input_schema"]["properties"]["q"] == {"type": "integer"}


def test_a_parameter_may_have_its_schema_in_a_media_type_and_a_reference_any_place() -> None:
    document = operation(
        parameters=[
            {"name": "q", "in": "query", "content": {"application/json": {"schema": {"$ref": "#/x-own/a~1b/0"}}}}
        ]
    )
    document["x-own"] = {"a/b": [{"type": "string"}]}
    assert definition_of(document)["input_schema"]["$defs"] == {"0": {"type": "string"}}


def test_two_schemas_of_one_name_stay_apart() -> None:
    refs = [{"$ref": "#/x-one/Same"}, {"$ref": "#/x-two/Same"}]
    document = operation(parameters=[{"name": "q", "in": "query", "schema": {"anyOf": refs}}])
    document |= {"x-one": {"Same": {"type": "string"}}, "x-two": {"Same": {"type": "integer"}}}
    schema = definition_of(document)["input_schema"]
    assert schema["properties"]["q"] == {"anyOf": [{"$ref": "#/$defs/Same"}, {"$ref": "#/$defs/Same_2"}]}
    assert schema["$defs"] == {"Same": {"type": "string"}, "Same_2": {"type": "integer"}}


def test_yaml_and_json_of_the_same_value_are_the_same_tools() -> None:
    document = github("3.17")
    as_json = tools_of(json.dumps(document).encode())
    assert len(as_json) == 966
    small = {**document, "paths": dict(list(document["paths"].items())[:20])}
    assert tools_of(yaml.safe_dump(small).encode()) == tools_of(small)


def test_yaml_has_the_values_of_json() -> None:
    text = b"""
openapi: 3.1.0
info: {title: Values, version: '1'}
x-values: &values [yes, 2024-05-01, 12:30:00, 0o17, 1_000, ~, true, 12345678901234567890, 1.10, "5", =]
paths:
  /a:
    get:
      parameters: [{name: q, in: query, schema: {enum: *values}}]
      responses: {200: {description: ok}}
"""
    assert definition_of(text)["input_schema"]["properties"]["q"]["enum"] == [
        *(
            "yes",
            "2024-05-01",
            "12:30:00",
            "0o17",
            "1_000",
            None,
            True,
            12345678901234567890,
            Decimal("1.10"),
            "5",
            "=",
        ),
    ]


@pytest.mark.parametrize(
    ("given", "slug"), [("Billing API v2", "billing-api-v2"), (" Éa ", "a"), ("x" * 300, "x" * 100)]
)
def test_a_slug_is_made_of_the_title(given: str, slug: str) -> None:
    assert read_openapi(written(minimal(info={"title": given, "version": "1"}))).slug == slug


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
UNFOLDING = operation(parameters=[{"name": "q", "in": "query", "schema": {"$ref": "#/components/schemas/S"}}])
UNFOLDING["components"] = {"schemas": {"S": {"anyOf": [{"const": number} for number in range(3000)]}}}
UNFOLDING["paths"] = {f"/{number}": UNFOLDING["paths"]["/a"] for number in range(400)}


def nested(depth: int) -> Any:
    value: Any = {"type": "string"}
    for _ in range(depth):
        value = {"items": value}
    return value


def refers(pointer: str) -> dict[str, Any]:
    return operation(parameters=[{"name": "q", "in": "query", "schema": {"$ref": pointer}}])


NO_OPERATIONS: list[dict[str, Any]] = [
    {"servers": [{}]},
    {"parameters": 5},
    {"operationId": 5},
    {"summary": 5},
    {"requestBody": 5},
]
REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "it is no object"),
    "a text": (b"hello", "it is no object"),
    "no UTF-8": (b"\xff\xfe{", "is not UTF-8"),
    "a lone surrogate": ("\ud800", "is not UTF-8"),
    "broken JSON": (b'{"openapi": ', "is not JSON"),
    "broken YAML": (b"a: [1, 2\nb: }", r"is not YAML: .* \(line 2, column"),
    "no number of JSON": (b'{"openapi": NaN}', "is not JSON: NaN"),
    "two YAML documents": (b"a: 1\n---\nb: 2\n", "is not YAML"),
    "too large": (b" " * (LARGEST_DOCUMENT + 1), "has more than 16,777,216 bytes"),
    "too many values": (b"{" + b'"a": [' + b"0," * 1_000_000 + b"0]}", "has more than 1,000,000 values"),
    "a YAML bomb": (BOMB.encode(), "has more than 1,000,000 values"),
    "a YAML alias of its own": (b"a: &a [*a]", "an alias names what it is a part of"),
    "a YAML merge": (b"a: &a {b: 1}\nc: {<<: *a}", "merge keys"),
    "a YAML tag": (b"a: !!python/object/apply:os.system ['true']", "the tag .* is not supported"),
    "a YAML key twice": (b"a: 1\na: 2", "the key a is there twice"),
    "a YAML key that is no text": (b"? [1]\n: 2", "a key must be a text"),
    "a YAML number without end": (b"a: " + b"9" * 100_000, "more than 10000 digits"),
    "deep JSON": (b'{"a": ' + b"[" * 100_000, "levels deep"),
    "deep YAML": (b"[" * 100_000, "levels deep"),
    "deep within bounds of Python": (
        operation(parameters=[{"name": "q", "in": "query", "schema": nested(150)}]),
        "levels deep",
    ),
    "Swagger 2": ({"swagger": "2.0"}, "no document of OpenAPI 3.0 or 3.1: it says 2.0"),
    "OpenAPI 4": (minimal(openapi="4.0.0"), "it says 4.0.0"),
    "a version that is a number": (minimal(openapi=3.1), "it says 3.1"),
    "no version": ({"paths": {}}, "it says no version"),
    "no info": ({"openapi": "3.0.0", "paths": {}}, "info: Field required"),
    "paths that are none": (minimal(paths=[]), "paths: Input should be a valid dictionary"),
    "a version of itself that is a number": (minimal(info={"title": "x", "version": 1.0}), "info.version"),
    "no operations": (minimal(paths={}), "has no operations"),
    "a parameter without a name": (operation(parameters=[{"in": "query"}]), "name"),
    "a parameter that is no object": (operation(parameters=["q"]), "parameters"),
    "a reference to no parameter": (
        operation(parameters=[{"$ref": "#/info"}]),
        "refers at GET /a to what is no Parameter: name",
    ),
    "a reference to elsewhere": (refers("https://evil.test/pet.json"), "bundle all of it into one document first"),
    "a reference to a file": (refers("file:///etc/passwd"), "which is not in it"),
    "a reference to nothing": (refers("#/components/schemas/Nothing"), "which is not there"),
    "a reference to an item that is not there": (refers("#/paths/~1a/get/parameters/7"), "which is not there"),
    "a circle of references": (
        {**refers("#/x-a"), "x-a": {"$ref": "#/x-b"}, "x-b": {"$ref": "#/x-a"}},
        "references that lead to each other",
    ),
    "a circle of parameters": (
        {**operation(parameters=[{"$ref": "#/x-a"}]), "x-a": {"$ref": "#/x-a"}},
        "references that lead to each other",
    ),
    "references that unfold": (UNFOLDING, "unfolds to more than 1,000,000 values"),
    "two operations of one name": (
        minimal(paths={"/a-b": {"get": {"responses": {}}}, "/a_b": {"get": {"responses": {}}}}),
        "two operations that would be the tool get_a_b: GET /a-b and GET /a_b",
    ),
    "a number that would fill the memory": (
        b'{"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/a": {"get": {"responses": {},'
        b' "parameters": [{"name": "q", "in": "query", "schema": {"const": 1e999999999}}]}}}}',
        "more than 10000 digits",
    ),
    "a number that would fill the memory of who takes it for an integer": (
        json.dumps(operation(parameters=[{"name": "q", "in": "query", "schema": {"maxLength": 7}}]))
        .replace(": 7", ": 1e999999999")
        .encode(),
        "more than 10000 digits",
    ),
    "a number that no computer holds": (b'{"a": 1e9999999999999999999}', "is not JSON: a number has an exponent"),
    **{
        f"a reference to a path that is none: {next(iter(wrong))}": (
            {**minimal(paths={"/a": {"$ref": "#/x-a"}}), "x-a": {"get": wrong}},
            f"refers at /a to what is no PathItem: get.*{next(iter(wrong))}",
        )
        for wrong in NO_OPERATIONS
    },
    "a reference to a parameter that is none": (
        {**operation(parameters=[{"$ref": "#/x-a"}]), "x-a": {"name": "q", "in": "query", "content": [1]}},
        "refers at GET /a to what is no Parameter: content",
    ),
    "a reference to a body that is none": (
        {**operation(requestBody={"$ref": "#/x-a"}), "x-a": {"content": {"text/plain": 5}}},
        "refers at GET /a to what is no RequestBody: content",
    ),
    "a character that PostgreSQL does not take": (operation(description="a\0b"), "U[+]0000"),
    "a title without letters": (minimal(info={"title": "ペット", "version": "1"}), "slug: must be given"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_document_is_refused_in_one_sentence(name: str) -> None:
    document, told = REFUSED[name]
    content = document if isinstance(document, bytes) else written(document)
    with pytest.raises(InvalidRequest, match=told) as refused:
        read_openapi(content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("slug", ["", "a/b", "a:b", "a b"])
def test_a_slug_that_is_none_is_refused(slug: str) -> None:
    with pytest.raises(InvalidRequest, match="slug"):
        read_openapi(PETSTORE, slug)


def test_a_schema_may_be_as_recursive_as_people_write_them() -> None:
    document = refers("#/components/schemas/Node")
    node = {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Node"}}}
    document["components"] = {"schemas": {"Node": node}}
    assert definition_of(document)["input_schema"]["$defs"]["Node"]["properties"]["left"] == {"$ref": "#/$defs/Node"}


def test_what_looks_like_a_reference_in_an_example_is_data_and_a_property_may_be_called_so() -> None:
    link = {"$ref": "https://pets.example/1"}
    schema = {
        "example": link,
        "default": [link],
        "enum": [link],
        "properties": {"example": {"$ref": "#/components/schemas/Pet"}},
    }
    body = {"content": {"application/json": {"schema": schema}}}
    pet = {"type": "object", "example": link}
    document = {**operation(requestBody=body), "components": {"schemas": {"Pet": pet}}}
    inputs = definition_of(document)["input_schema"]
    assert inputs["properties"]["body"] == {**schema, "properties": {"example": {"$ref": "#/$defs/Pet"}}}
    assert inputs["$defs"] == {"Pet": pet}


def test_examples_count_as_often_as_they_unfold() -> None:
    pet = {"example": [1] * 2_000}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
    paths = {f"/pets/{number}": {"post": {"requestBody": body, "responses": {}}} for number in range(600)}
    with pytest.raises(InvalidRequest, match="unfolds to more than"):
        tools_of(minimal(paths=paths, components={"schemas": {"Pet": pet}}))
