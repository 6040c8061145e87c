"""Tools and resources have one order: by position, and at equal positions by URN, in every database."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from release_worker.embedded import EmbeddedPostgres, embedded_servers
from release_worker.operations.schema import upgrade_schema
from release_worker.store.engine import make_engine
from tests.support.billing import a_full_toolset
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import recomputed_digests, stored_digests
from tests.support.world import Toolset, World

# By their bytes, capital letters come first and the underscore before small ones; no language sorts them so.
URNS = ["tools:f:A:B", "tools:f:A:b", "tools:f:Z:a", "tools:f:_:a", "tools:f:a:B", "tools:f:a:b", "tools:f:é:a"]
LANGUAGE = "en_US.UTF-8"


def listing(engine: Engine, kind: str, *, written: list[str]) -> Toolset:
    """A toolset that lists these, written in this order, all at the same position."""
    toolset = World(engine).organization("acme").project("p").toolset("t")
    for urn in written:
        (toolset.add_tool if kind == "tool" else toolset.add_resource)(urn, 0)
    return toolset


def captured_urns(engine: Engine, kind: str) -> list[str]:
    """What the newest toolset version lists, in its order."""
    query = text(f"SELECT {kind}_urns FROM toolset_versions ORDER BY version DESC LIMIT 1")
    with engine.connect() as connection:
        return list(connection.execute(query).scalar_one())


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database that sorts text as dictionaries do, on a server of its own."""
    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip("localedef, which makes a locale of another order, is not installed")
    with tempfile.TemporaryDirectory(prefix="release-worker-locale-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)  # as root, PostgreSQL runs as another user
        command = [localedef, "-i", LANGUAGE.partition(".")[0], "-f", "UTF-8", f"{directory}/{LANGUAGE}"]
        made = subprocess.run(command, capture_output=True, text=True)
        if not Path(directory, LANGUAGE).is_dir():
            pytest.skip(f"localedef cannot make {LANGUAGE}: {made.stderr.strip()}")
        usual = EmbeddedPostgres._command  # which runs without our environment
        monkeypatch.setattr(
            EmbeddedPostgres, "_command", lambda self: ["/usr/bin/env", f"LOCPATH={directory}", *usual(self)]
        )
        with embedded_servers(Path(directory) / "data") as servers:
            admin = create_engine(servers.postgres.admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE english TEMPLATE template0 LOCALE '{LANGUAGE}'"))
            url = servers.postgres.url("english")
            upgrade_schema(url)
            engine = make_engine(url)
            yield engine
            engine.dispose()


@pytest.mark.parametrize("kind", ["tool", "resource"])
def test_equal_positions_are_ordered_by_the_bytes_of_the_urn(engine: Engine, kind: str) -> None:
    toolset = listing(engine, kind, written=URNS[::-1])
    release(engine, toolset)
    assert captured_urns(engine, kind) == sorted(URNS)
    assert stored_digests(engine, toolset, 1) == recomputed_digests(engine, toolset, 1)


def test_equal_positions_have_the_same_order_in_a_database_that_sorts_otherwise(
    engine: Engine, english: Engine
) -> None:
    """So the same lists have the same digest there, also after a rollback that leaves some of them out."""
    in_english = text("SELECT array_agg(urn ORDER BY urn) FROM unnest(CAST(:urns AS text[])) AS urn")
    with english.connect() as connection:
        assert connection.execute(in_english, {"urns": URNS}).scalar_one() != sorted(URNS)
    digests = []
    for database in (engine, english):
        toolset = listing(database, "tool", written=URNS[::-1])
        deployment = toolset.project.deploy(tools={urn: {} for urn in URNS})
        release(database, toolset)
        order = [captured_urns(database, "tool")]
        deployment.remove_tool(URNS[3])
        for urn in URNS:
            toolset.remove_tool(urn)
        release(database, toolset)
        done = roll_back(database, toolset, 1, components=["tools"], on_missing="skip")
        order.append(captured_urns(database, "tool"))
        assert order == [sorted(URNS), sorted({*URNS} - {URNS[3]})]
        assert done.changes["tools"].added == tuple(order[1])
        assert not drift(database, toolset).drifted
        assert stored_digests(database, toolset, 3) == recomputed_digests(database, toolset, 3)
        digests.append(stored_digests(database, toolset, 3))
    assert digests[0] == digests[1]


def test_skip_keeps_the_order_of_what_is_left(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    tools = {f"tools:f:s:{name}": position for name, position in {"z": 0, "c": 1, "B": 5, "a": 5, "m": 7}.items()}
    gone, others = "tools:f:s:c", {urn: place for urn, place in tools.items() if urn != "tools:f:s:c"}
    deployment = billing.project.deploy(tools={urn: {} for urn in tools})
    for urn in live_state(engine, billing)["tools"]:
        billing.remove_tool(urn)
    for urn, position in tools.items():
        billing.add_tool(urn, position)
    release(engine, billing)
    deployment.remove_tool(gone)
    for urn in tools:
        billing.remove_tool(urn)
    release(engine, billing)

    done = roll_back(engine, billing, 1, components=["tools"], on_missing="skip")
    assert live_state(engine, billing)["tools"] == others
    assert captured_urns(engine, "tool") == sorted(others, key=lambda urn: (others[urn], urn))
    assert done.current_release_number == 3
    assert not drift(engine, billing).drifted
