"""pgbench from the embedded PostgreSQL's wheel: the barest client that there is."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from release_worker.embedded.wheels import postgres_binaries

LONGEST_RUN = 300.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What pgbench says that it did."""

    transactions: int
    failed: int
    per_second: float
    milliseconds: float  # of a transaction, as one connection sees it


class Pgbench:
    """Runs scripts on one database, with prepared statements."""

    def __init__(self, database_url: str, directory: Path) -> None:
        url = make_url(database_url)
        self._address = ["-h", str(url.query["host"]), "-p", str(url.query["port"]), "-U", str(url.username)]
        self._database = str(url.database)
        self._directory = directory

    def for_seconds(self, name: str, script: str, *, connections: int, seconds: int) -> Replayed:
        """Over and over, on so many connections, for so long. A transaction that met another is tried again. The script
        may use `:connections` and `:client_id`, which counts from 0."""
        return self._run(name, script, connections, "-T", str(seconds))

    def once(self, name: str, script: str) -> Replayed:
        """One transaction on one connection."""
        return self._run(name, script, 1, "-t", "1")

    def _run(self, name: str, script: str, connections: int, *options: str) -> Replayed:
        """Raises RuntimeError, with what pgbench said, where it gave up."""
        file = self._directory / f"{name}.sql"
        file.write_text(script)
        options = ("-c", str(connections), "-j", str(connections), "-D", f"connections={connections}", *options)
        command = [str(postgres_binaries() / "pgbench"), *self._address, "-n", "-M", "prepared", "--max-tries=20"]
        ended = subprocess.run(
            [*command, *options, "-f", str(file), self._database],
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN,
            env={"LC_ALL": "C"},
            check=False,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"pgbench {name} failed:\n{ended.stderr[-2000:]}\nIts script is {file}")
        return _read(ended.stdout)


def _read(output: str) -> Replayed:
    def number(pattern: str) -> float:
        found = re.search(pattern, output)
        if found is None:
            raise RuntimeError(f"pgbench said nothing of {pattern!r}:\n{output}")
        return float(found[1])

    return Replayed(
        transactions=int(number(r"transactions actually processed: (\d+)")),
        failed=int(number(r"number of failed transactions: (\d+)")),
        per_second=number(r"tps = ([\d.]+)"),
        milliseconds=number(r"latency average = ([\d.]+)"),
    )
