"""The client: signatures and docstrings, as the source has them."""

import inspect
from collections.abc import Sequence

import release_worker
from release_worker.client.request_handle import RequestHandle
from tests.support.reference.markdown import block, document, paragraphs
from tests.support.signatures import public_methods

ABOUT = """
`from release_worker import ReleaseClient`. [How to call it from another app](../how-to/call-from-an-app.md) has
examples. Every error is one of [these](errors.md). What needs a database, and `session`, need the extra `database`:
[what to install](../how-to/call-from-an-app.md#what-to-install).
"""


def page() -> str:
    classes = [release_worker.ReleaseClient, RequestHandle]
    return document("Client", ABOUT, *(_class(one) for one in classes))


def _class(documented: type) -> str:
    parts = [f"## {documented.__name__}", paragraphs(documented.__doc__)]
    for name, lines in public_methods(documented).items():
        if name == "__init__":
            parts.append(_signature(lines).replace("__init__(", f"{documented.__name__}("))
            parts.append(paragraphs(inspect.getattr_static(documented, name).__doc__))
        elif not name.startswith("__"):  # `with` and `repr` need no words
            parts += [f"### {name}", _signature(lines), paragraphs(inspect.getdoc(getattr(documented, name)))]
    return "\n\n".join(part for part in parts if part)


def _signature(lines: Sequence[str]) -> str:
    return block("py", "\n".join(lines))
