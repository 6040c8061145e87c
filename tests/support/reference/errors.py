"""The errors: the tree, and what each says of itself."""

import inspect
import re
from collections.abc import Iterator

from release_worker import errors
from tests.support.reference.markdown import block, code, document, paragraphs

ABOUT = """
All of them are in `release_worker.errors`, which needs none of the worker's dependencies. An error is a value: its
class, one sentence, and `details`, an object with its fields. The ledger keeps it as `{type, message, details}`, and
commands print it like that with `--json`.
"""

PERMANENT = "## Permanent errors\n\nTrying again changes nothing."
TRANSIENT = """
## Transient errors

A worker tries again by itself, later and later. When the attempts are used up, the request fails with the error of the
last attempt, and `release-worker requests retry` brings it back.
"""


def page() -> str:
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    return document(
        "Errors",
        ABOUT,
        block("text", inspect.cleandoc(tree)),
        PERMANENT,
        *map(_error, _below(errors.PermanentError)),
        TRANSIENT,
        *map(_error, _below(errors.TransientError)),
    )


def _below(parent: type[errors.ReleaseWorkerError]) -> Iterator[type[errors.ReleaseWorkerError]]:
    for one in (each for each in parent.__subclasses__() if each.__module__ == parent.__module__):
        yield one
        yield from _below(one)


def _error(error: type[errors.ReleaseWorkerError]) -> str:
    text = f"### {error.__name__}\n\n{paragraphs(error.__doc__)}"
    fields = re.findall(r"{(\w+)", error.sentence)
    example = error(**{name: f"<{name}>" for name in fields}) if fields else error()
    return f"{text}\n\nMessage: {code(str(example))}"
