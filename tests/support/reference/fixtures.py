"""The fixtures of the pytest plugin, its options, and what `release_worker` offers."""

import inspect
from collections.abc import Iterator

from release_worker.testing import ReleaseWorker, plugin
from tests.support.reference.markdown import code, document, paragraphs, table

ABOUT = """
The plugin is installed with the package, and pytest finds it by itself.
[How to test your app's integration](../how-to/test-your-integration.md) shows it. Fixtures of a session are made once
in each process of pytest-xdist. `-p no:release_worker` leaves the plugin out.
"""

BROKER = """
The messages that wait in our queues are thrown away. Of a Redis, each process of pytest-xdist uses a database by its
own number, from that of the URL on; another broker serves one process
"""


def page() -> str:
    return document(
        "Fixtures",
        ABOUT,
        table("fixture", "made for", "what", rows=_fixtures()),
        "## `release_worker`",
        paragraphs(ReleaseWorker.__doc__),
        table("", "what", rows=_members()),
        "## Options",
        table("option", "what", rows=_options()),
    )


def _fixtures() -> Iterator[list[str]]:
    found = {name: made for name, made in vars(plugin).items() if name.startswith("release_worker")}
    for name in sorted(found, key=lambda name: (name != "release_worker", name)):
        scope = found[name]._fixture_function_marker.scope
        yield [code(name), "each test" if scope == "function" else f"a {scope}", paragraphs(found[name].__doc__)]


def _members() -> Iterator[list[str]]:
    yield [code("client"), "A `ReleaseClient` with this database and this broker."]
    yield [code("engine"), "SQLAlchemy's engine on the database."]
    for name, member in vars(ReleaseWorker).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        if isinstance(member, property):
            yield [code(name), paragraphs(member.__doc__)]
        else:
            signature = inspect.signature(member)
            named = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()][1:]
            shown = signature.replace(parameters=named, return_annotation=inspect.Signature.empty)
            yield [code(f"{name}{shown}"), paragraphs(member.__doc__).replace("\n\n", " ")]


def _options() -> Iterator[list[str]]:
    for option, variable, what in (
        ("--release-worker-postgres-url", plugin.POSTGRES, "a PostgreSQL in which databases may be created"),
        (
            "--release-worker-broker-url",
            plugin.BROKER,
            f"a broker that no other release worker uses. {' '.join(BROKER.split())}",
        ),
    ):
        yield [f"{code(option)}, or {code(variable)} in the environment", what]
    yield [
        f"{code('release_worker_schema')} in pytest's configuration",
        "the schema that our tables are made in, `public` by default",
    ]
