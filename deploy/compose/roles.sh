#!/bin/sh
# PostgreSQL's image runs this once, in a new database: the user that workers log in as. `release-worker db upgrade
# --grants` gives its group the rights of a worker. If the password changes later: ALTER ROLE release_worker_service …
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password WORKER_PASSWORD
CREATE ROLE release_worker_worker NOLOGIN;
CREATE ROLE release_worker_service LOGIN PASSWORD :'password' IN ROLE release_worker_worker;
SQL
