"""The schema, as SQLAlchemy knows it: what the migrations build and `alembic check` compares with.

Queries are plain SQL beside the functions that run them.
"""

from release_worker.store.tables import drift, events, freezes, live, measurements, records, schedules
from release_worker.store.tables.columns import metadata

__all__ = ["drift", "events", "freezes", "live", "measurements", "metadata", "records", "schedules"]
