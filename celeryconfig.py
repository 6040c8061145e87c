"""This deployment's Celery settings, on top of the package's: `release_worker.worker.config` says what and why.

`celery -A release_worker worker` reads this file where it is in the directory that it is started in. Addresses come
from the environment: RELEASE_WORKER_DATABASE_URL, RELEASE_WORKER_BROKER_URL and their fellows.
"""

# Two operations at a time; each is mostly a wait for PostgreSQL.
worker_concurrency = 2

# Start a child anew after so many tasks: what a plug-in leaks does not add up.
worker_max_tasks_per_child = 10_000
