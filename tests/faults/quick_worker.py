"""The worker's app with short leases and few attempts, so that tests of real processes need not wait for the usual
ones; and with a defect that kills the child that works a request with the note `POISON`.

    celery -A tests.faults.quick_worker worker
"""

import os
import signal
from collections.abc import Mapping
from typing import Any

from celery.signals import worker_init, worker_process_init
from sqlalchemy import Connection, Engine

from release_worker.domain.request_record import Claim
from release_worker.operations import release_at_once
from release_worker.operations.execute import execute
from release_worker.settings import read_settings
from release_worker.state.registry import Registry
from release_worker.store.at_once import Trial, write_release_at_once
from release_worker.worker import executor, runtime
from release_worker.worker.app import make_app
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from tests.faults.shop import ATTEMPTS, DIED_AT_ONCE, POISON

app = make_app()


def _deadly(engine: Engine, claim: Claim, registry: Registry) -> Mapping[str, Any]:
    if claim.payload.get("notes") == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(engine, claim, registry)


def _deadly_at_once(connection: Connection, statement: str, trial: Trial) -> Mapping[str, Any] | None:
    """Dies before the commit, which leaves no trace in the ledger."""
    result = write_release_at_once(connection, statement, trial)
    if result is not None and trial.request.notes == POISON:
        print(DIED_AT_ONCE, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return result


@worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _come_back_soon(**_: Any) -> None:
    for task in app.tasks.values():
        task.default_retry_delay = 1  # after the loss of its child


@worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _be_quick(**_: Any) -> None:
    executor.execute = _deadly  # type: ignore[attr-defined]
    release_at_once.write_release_at_once = _deadly_at_once  # type: ignore[attr-defined]
    quick = runtime.Runtime(
        read_settings(),
        retry=RetryPolicy(attempts=ATTEMPTS, first_delay=0.1, longest_delay=1.0),
        leases=LeasePolicy(lease=2.0, renew_every=0.5, lock_wait=0.3),
    )
    setattr(app, runtime._ATTRIBUTE, quick)
