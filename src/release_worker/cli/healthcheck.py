"""`healthcheck`: one line and an exit status, for the probes of a supervisor.

Importing is most of its work: each check imports what it needs, and none the Celery app.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson
from release_worker.cli.render import one_line, print_json, say
from release_worker.errors import ReleaseWorkerError

if TYPE_CHECKING:
    from release_worker.broker.signs import Role, Sign
    from release_worker.settings import Settings

# The library's own logger: structlog would take a third of a probe's time.
logger = logging.getLogger(__name__)

LONGEST = 4.0  # seconds; a server that does not answer has failed


class Check(StrEnum):
    """What can be checked."""

    BROKER = "broker"
    DATABASE = "database"
    SCHEMA = "schema"
    WORKER = "worker"
    ALIVE = "alive"
    BEAT = "beat"


USUAL = (Check.BROKER, Check.DATABASE, Check.SCHEMA, Check.WORKER)


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what a check found, be it well or not."""

    ok: bool
    found: str


def healthcheck(
    only: Annotated[
        list[Check] | None,
        typer.Option(
            metavar="CHECK",
            help="Check only this, and may be given several times: broker, database, schema, worker, beat, or alive: a "
            "worker that consumes, or waits for its broker.",
            show_default="broker, database, schema and worker",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for what does not answer.")
    ] = LONGEST,
    as_json: AsJson = False,
) -> None:
    """Say in one line whether a worker of this host can work and does. Exit status 0 if so, 1 if not.

    It can if the broker and the database answer, and the schema is at this version's revision. It does if each worker
    of this host says that it consumes.

    Example: release-worker healthcheck --only alive
    """
    checks = tuple(dict.fromkeys(only or USUAL))
    findings = _findings(checks, timeout)
    ok = all(finding.ok for finding in findings.values())
    if as_json:
        each = {check.value: {"ok": finding.ok, "found": finding.found} for check, finding in findings.items()}
        print_json({"ok": ok, "checks": each})
    elif ok:
        say(f"healthy: {', '.join(findings)}")
    else:
        wrong = (f"{check}: {finding.found}" for check, finding in findings.items() if not finding.ok)
        say(f"unhealthy: {'; '.join(wrong)}")
    if not ok:
        raise typer.Exit(FAILED)


def _findings(checks: Sequence[Check], timeout: float) -> Mapping[Check, Finding]:
    from release_worker.doctor.all_at_once import all_at_once
    from release_worker.settings import read_settings

    try:
        probe = Probe(read_settings(), timeout)
    except ReleaseWorkerError as error:
        return {check: Finding(False, one_line(error.message)) for check in checks}
    late = Finding(False, f"no answer within {timeout:g} s")
    return all_at_once(checks, partial(_carried_out, probe), late=late, within=timeout)


def _carried_out(probe: "Probe", check: Check) -> Finding:
    try:
        return probe.find(check)
    except ReleaseWorkerError as error:
        return Finding(False, one_line(error.message))
    except OSError as error:
        return Finding(False, one_line(str(error)))
    except Exception as error:  # a defect in one check must not hide what the others find
        logger.exception("check_broke: %s", check)
        return Finding(False, f"{type(error).__name__}, a defect; its traceback is on standard error")


class Probe:
    """The checks; each is carried out by a thread of its own."""

    def __init__(self, settings: "Settings", timeout: float) -> None:
        self._settings, self._timeout = settings, timeout
        self._connecting = threading.Lock()
        self._revisions: list[str | None] = []  # of the database, once it was asked

    def find(self, check: Check) -> Finding:
        """Raises NotConfigured, DatabaseUnavailable, BrokerUnavailable, and OSError for files of signs."""
        match check:
            case Check.BROKER:
                return self._broker()
            case Check.DATABASE:
                self._revision()
                return Finding(True, "answers")
            case Check.SCHEMA:
                return self._schema()
            case Check.WORKER:
                return self._worker()
            case Check.ALIVE:
                return self._alive("worker")
            case Check.BEAT:
                return self._alive("beat")
            case _:
                assert_never(check)

    def _broker(self) -> Finding:
        from release_worker.broker.address import Broker
        from release_worker.broker.reaching import reach

        reach(Broker.of(self._settings), self._settings.limits)
        return Finding(True, "answers")

    def _revision(self) -> str | None:
        from release_worker.store.schema_version import revision_of

        with self._connecting:  # two checks need it, and one connection is enough
            if not self._revisions:
                self._revisions.append(revision_of(self._settings.database, within=self._timeout))
            return self._revisions[0]

    def _schema(self) -> Finding:
        """A revision that this version does not know is that of a newer one, beside which workers go on."""
        from release_worker.store.schema_version import known_revisions

        found, known = self._revision(), known_revisions()
        if found is None:
            schema = self._settings.database_schema
            return Finding(
                False, f"there are no tables of release-worker in schema {schema}: release-worker db upgrade"
            )
        if found in known[:-1]:
            behind = f"at revision {found}, and this version needs {known[-1]}: release-worker db upgrade"
            return Finding(False, behind)
        newer = "" if found in known else ", which is newer than this version"
        return Finding(True, f"at revision {found}{newer}")

    def _worker(self) -> Finding:
        alive = self._alive("worker")
        if not alive.ok:
            return alive
        signs = self._signs("worker")
        idle = ", ".join(sign.name for sign in signs if sign.state != "consuming")
        if idle:
            return Finding(False, f"{idle} does not consume: it waits for its broker, or ends")
        return Finding(True, "; ".join(f"{sign.name} consumes {', '.join(sign.queues)}" for sign in signs))

    def _alive(self, role: "Role") -> Finding:
        from release_worker.domain.limits import DEFAULTS

        signs = self._signs(role)
        if not signs:
            return Finding(False, f"no {role} of this host says that it works (in {self._settings.signs_directory})")
        silent = ", ".join(sign.name for sign in signs if not sign.is_recent)
        if silent:
            return Finding(False, f"no sign of life from {silent} for {DEFAULTS.sign_lapse:g} s")
        return Finding(True, ", ".join(sign.name for sign in signs))

    def _signs(self, role: "Role") -> "Sequence[Sign]":
        from release_worker.broker.signs import signs_in

        return signs_in(self._settings.signs_directory, role)
