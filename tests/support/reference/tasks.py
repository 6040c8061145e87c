"""The tasks: one for each kind of request, from its fields and its docstring; and those that beat sends."""

from typing import Any

from release_worker.broker.routing import CHORES, TASKS
from release_worker.domain.requests.kinds import KINDS
from release_worker.domain.requests.request import Request
from release_worker.settings import given_settings
from release_worker.worker.chores import CARRIED_OUT_BY
from tests.support.reference.markdown import code, document, paragraphs, table

ABOUT = """
Any Celery app can send these tasks, without this package: with the name of the task, its queue, and keyword arguments
in JSON. The [client](client.md) has a method for each of them. Unknown arguments and wrong types are refused, never
converted.

Every task takes `organization`, a slug or an id: a toolset of another organization then counts as not there.
"""

CHORES_ABOUT = """
Chores take no arguments, and their queue is `maintenance`. Beat sends them: the last column has the seconds between
two, if nothing else is set. A chore finds its work in PostgreSQL: it may come late, twice, or at the same time as
itself.
"""


def page() -> str:
    limits = given_settings().limits
    chores = ((code(name), CARRIED_OUT_BY[name].__doc__ or "", f"{getattr(limits, CHORES[name]):g}") for name in CHORES)
    return document(
        "Tasks",
        ABOUT,
        *(_task(kind) for kind in KINDS.values()),
        "## Chores",
        CHORES_ABOUT,
        table("task", "what", "every", rows=chores),
    )


def _task(kind: type[Request]) -> str:
    schema = kind.model_json_schema()
    required = set(schema["required"])
    names = [*kind.positional, *(name for name in schema["properties"] if name not in kind.positional)]
    arguments = ((code(name), *_described(schema["properties"][name], required=name in required)) for name in names)
    result = kind.result.model_json_schema(mode="serialization")["properties"]
    return "\n\n".join(
        [
            f"## {kind.kind}",
            f"{code(TASKS[kind.kind])}, queue {code(kind.queue)}",
            paragraphs(kind.__doc__),
            table("argument", "type", "default", rows=arguments),
            f"Positional arguments are read in this order: {', '.join(map(code, kind.positional))}.",
            f"It returns an object. {paragraphs(kind.result.__doc__)}",
            table("field", "type", rows=((code(name), _type(field)) for name, field in result.items())),
        ]
    )


def _described(field: dict[str, Any], *, required: bool) -> tuple[str, str]:
    """Its type and its default."""
    default = field.get("default")
    shown = {None: "none", True: "true", False: "false"}.get(default, code(str(default)))
    return _type(field), "(required)" if required else shown


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"] if one.get("type") != "null"]
        return f"{' or '.join(kinds)}; may be null"
    if "enum" in field:
        return " or ".join(code(value) for value in field["enum"])
    match field.get("type"):
        case "string":
            most = f", at most {field['maxLength']:,} characters" if "maxLength" in field else ""
            return {"uuid": "UUID", "date-time": "time"}.get(field.get("format", ""), f"text{most}")
        case "integer":
            return f"whole number, at least {field['minimum']}" if "minimum" in field else "whole number"
        case "number":
            return "number"
        case "array":
            return f"list of {_type(field['items'])}" if "items" in field else "list"
        case "boolean":
            return "true or false"
        case None:
            return "object" if "$ref" in field else "any JSON"
        case _:
            return "object"
