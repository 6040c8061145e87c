#!/bin/sh
# Renames a toolset and releases it in one transaction, and waits for the outcome.
#
# DATABASE_URL=postgresql://… release.sh ORGANIZATION/PROJECT/TOOLSET NAME KEY
set -eu

ask() {
    psql "$DATABASE_URL" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"
}

request=$(ask --set toolset="$1" --set name="$2" --set key="$3" <<'SQL'
BEGIN;
UPDATE toolsets SET name = :'name'
FROM projects JOIN organizations ON organizations.id = projects.organization_id
WHERE projects.id = toolsets.project_id
      AND concat_ws('/', organizations.slug, projects.slug, toolsets.slug) = :'toolset';
SELECT release_worker_request(
    'create_release', :'toolset', 'shell', jsonb_build_object('notes', 'now ' || :'name'), :'key');
COMMIT;
SQL
)

while :; do
    outcome=$(ask --set request="$request" <<'SQL'
SELECT CASE status WHEN 'succeeded' THEN 'release ' || (result ->> 'release_number')
                   WHEN 'failed' THEN 'failed: ' || (error ->> 'message') END
FROM release_requests WHERE id = :'request';
SQL
    )
    case $outcome in
    failed*) echo "$outcome" >&2; exit 1 ;;
    ?*) echo "$outcome"; exit 0 ;;
    esac
    sleep 0.2
done
