"""Every check, in the order in which they are told. A new one is a function in a file beside this, and a line here."""

from collections.abc import Sequence

from release_worker.doctor import database, servers, software, workers
from release_worker.doctor.finding import Check

CHECKS: Sequence[Check] = (
    Check("versions", "software", software.versions),
    Check("database", "database", database.server),
    Check("schema", "database", database.schema),
    Check("role", "database", database.role),
    Check("pooler", "database", database.pooler),
    Check("broker", "broker", servers.answers),
    Check("eviction", "broker", servers.eviction),
    Check("persistence", "broker", servers.persistence),
    Check("locks", "broker", servers.locks),
    Check("clocks", "broker", servers.clocks),
    Check("workers", "workers", workers.workers),
    Check("queues", "workers", workers.queues),
    Check("stray", "workers", workers.stray),
    Check("visibility", "workers", workers.visibility),
    Check("beat", "workers", workers.beat),
    Check("requests", "requests", workers.requests),
)
