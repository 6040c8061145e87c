"""Bundles: exported from one database, imported into another."""

from typing import Any

from sqlalchemy import Engine, text

from release_worker.domain.bundle import read_bundle
from release_worker.domain.requests.import_bundle import ImportBundleResult
from release_worker.queries.export_bundle import export_bundle
from release_worker.state.registry import Registry, built_in_components
from release_worker.store.bundles import keep_bundle
from release_worker.store.engine import snapshot_transaction
from tests.support.exact_json import Json, parsed
from tests.support.staging import perform
from tests.support.world import Toolset


def exported(engine: Engine, toolset: Toolset, number: int, *, registry: Registry | None = None) -> str:
    """The text of a release's bundle."""
    with snapshot_transaction(engine) as connection:
        _, bundle = export_bundle(connection, toolset.path, number, registry or built_in_components())
    return bundle


def keep(engine: Engine, bundle: str) -> str:
    """Put a bundle into the database as the client does, after its check; its checksum."""
    checksum = read_bundle(bundle).checksum
    with engine.begin() as connection:
        keep_bundle(connection, checksum, bundle)
    return checksum


def imported(
    engine: Engine, bundle: str, toolset: Toolset, *, registry: Registry | None = None, **fields: Any
) -> ImportBundleResult:
    """Import it into a toolset."""
    checksum = keep(engine, bundle)
    return perform(engine, "import_bundle", toolset, ImportBundleResult, registry=registry, bundle=checksum, **fields)


def document(bundle: str) -> dict[str, Json]:
    """As any program reads it; decimals exactly."""
    found: dict[str, Json] = parsed(bundle)
    return found


def overwrite(engine: Engine, checksum: str, path: str, value: str) -> None:
    """Tamper with a bundle in the database: a place in it (`{contents,tools}`) gets another value, a JSON text."""
    update = """
        UPDATE release_bundles SET document = jsonb_set(document, :path, CAST(:value AS jsonb)) WHERE digest = :id
    """
    with engine.begin() as connection:
        connection.execute(text(update), {"id": checksum, "path": path, "value": value})
