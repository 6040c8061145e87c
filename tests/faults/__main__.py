"""`python -m tests.faults`: one run of the fault suite, its table, and exit status 1 if anything was found."""

import argparse
import random
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from release_worker.testing.running.databases import Databases
from release_worker.testing.running.servers import embedded_for_tests
from tests.faults.campaign import run_campaign
from tests.faults.plan import HOLDINGS, Holding, make_plan
from tests.faults.report import complaints, table

REQUESTS, RATE, SPACING = 400, 5.0, 3.5
EDITS: Holding = "held"


def main() -> int:
    options = _options().parse_args()
    signal.signal(signal.SIGTERM, _end)
    requests = int(options.minutes * 60 * options.rate) if options.minutes else options.requests
    plan = make_plan(options.seed, requests=requests, rate=options.rate, spacing=options.spacing, edits=options.edits)
    print(f"seed {options.seed}, plan {plan.fingerprint}: {requests} requests in {plan.seconds:.0f} s", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="release-worker-faults-"))
    with (
        embedded_for_tests() as servers,
        Databases(servers.postgres) as databases,
        databases.temporary() as database_url,
    ):
        outcome = run_campaign(plan, servers, database_url, directory)
    command = f"make faults FAULTS='--seed {options.seed} --requests {requests}{_unusual(options)}'"
    print(table(outcome, command))
    for complaint in complaints(outcome):
        print(complaint)
    if outcome.clean:
        return 0
    for strike in outcome.journal.strikes:
        print(f"{strike.began - outcome.journal.strikes[0].began:8.2f} s  {strike.fault}: {strike.note}")
    print(f"logs: {shlex.quote(str(directory))}")
    return 1


def _end(*_: object) -> None:
    """Unwind, so that the servers' files are removed."""
    raise SystemExit(1)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of load and faults; random")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"how many; {REQUESTS}")
    parser.add_argument("--minutes", type=float, help="how long to keep asking, in place of --requests")
    parser.add_argument("--rate", type=float, default=RATE, help=f"requests a second; {RATE}")
    parser.add_argument("--spacing", type=float, default=SPACING, help=f"mean seconds between faults; {SPACING}")
    parser.add_argument(
        "--edits", choices=HOLDINGS, default=EDITS, help=f"whether apps hold the rows of what they edit; {EDITS}"
    )
    return parser


def _unusual(options: argparse.Namespace) -> str:
    rate = f" --rate {options.rate}" if options.rate != RATE else ""
    spacing = f" --spacing {options.spacing}" if options.spacing != SPACING else ""
    edits = f" --edits {options.edits}" if options.edits != EDITS else ""
    return rate + spacing + edits


if __name__ == "__main__":
    sys.exit(main())
