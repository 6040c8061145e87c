"""The client: signatures and docstrings, as the source has them."""

import ast
import inspect

import release_worker
from release_worker.client.request_handle import RequestHandle
from tests.support.reference.markdown import block, document, paragraphs
from tests.support.signatures import public_methods

ABOUT = """
`from release_worker import ReleaseClient`. [How to call it from another app](../how-to/call-from-an-app.md) has
examples. Every error is one of [these](errors.md).
"""


def page() -> str:
    classes = [release_worker.ReleaseClient, RequestHandle]
    return document("Client", ABOUT, *(_class(one) for one in classes))


def _class(documented: type) -> str:
    parts = [f"## {documented.__name__}", paragraphs(documented.__doc__)]
    for name, lines in public_methods(documented):
        if name.startswith("__") and name != "__init__":
            continue  # `with` and `repr` need no words
        docstring = inspect.getdoc(getattr(documented, name)) if name != "__init__" else _of_init(documented)
        heading = [] if name == "__init__" else [f"### {name}"]
        parts += [*heading, block("py", "\n".join(lines).replace("__init__(", f"{documented.__name__}("))]
        parts.append(paragraphs(docstring))
    return "\n\n".join(part for part in parts if part)


def _of_init(documented: type) -> str | None:
    (definition,) = ast.parse(inspect.getsource(documented)).body
    assert isinstance(definition, ast.ClassDef)
    made = [one for one in definition.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    return ast.get_docstring(made[0]) if made else None
