"""What was counted and measured, in short forms."""

import socket
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from release_worker.metrics.catalogue import PREFIX
from release_worker.metrics.exposition import as_text
from release_worker.metrics.figures import read_figures
from release_worker.operations.fold_measurements import fold_measurements
from release_worker.store.engine import ledger_transaction
from release_worker.store.measuring import Total, read_totals


def totals(engine: Engine) -> list[Total]:
    """All of them."""
    with ledger_transaction(engine) as connection:
        return read_totals(connection)


def counted(engine: Engine, *names: str) -> dict[str, int]:
    """`name kind label` without what is empty, of totals of these names or of all; durations over all bounds."""
    found: Counter[str] = Counter()
    for total in totals(engine):
        if total.name in names or not names:
            found[" ".join(filter(None, (total.name, total.kind, total.label)))] += total.count
    return dict(found)


def fold(engine: Engine, *, at_once: int = 10_000) -> int:
    return fold_measurements(engine, at_once=at_once)


def unfolded(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM release_measurements")).scalar_one())


def assert_the_ledger_is_counted(engine: Engine) -> None:
    """Each attempt and each request that the ledger tells of, once; for a ledger whose failures nobody brought back."""
    ended = """
        SELECT 'requests ' || kind || ' ' || status, count(*) FROM release_requests
        WHERE status IN ('succeeded', 'failed') GROUP BY 1
    """
    made = "SELECT coalesce(sum(attempts - CAST(status = 'running' AS int)), 0) FROM release_requests"
    with engine.connect() as connection:
        assert counted(engine, "requests") == {str(name): count for name, count in connection.execute(text(ended))}
        assert sum(counted(engine, "attempts").values()) == connection.execute(text(made)).scalar_one()


def free_port() -> int:
    """One of this host that nobody had a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def scraped(port: int, *, accept: str = "text/plain") -> str:
    """What a scraper is given."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=60) as response:
        text: str = response.read().decode()
    return text


Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Values by name and labels, as they are written: `release_worker_leases{state="good"}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def shown(engine: Engine) -> Samples:
    """What is shown of a database."""
    return samples(as_text(read_figures(engine)))


def above_zero(found: Samples, *names: str) -> Samples:
    """Those of these names, without the prefix, that are above zero."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in found.items()
        if value and name.split("{")[0].removeprefix(PREFIX) in names
    }
