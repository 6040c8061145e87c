"""The suite's own table: what each transaction wrote, noted by the transaction itself, so that a note is there if and
only if what it notes was committed.

A note takes its number while its transaction holds the rows that it wrote. The numbers of two transactions that wrote
to one owner's state, and held its row, are therefore in the order of their commits.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

# `what` is the row that was written; of an edit, what the app wrote; of an answer, the request that succeeded, of a
# failure, the one that failed, and of a claim, the one that a worker is about to begin.
TABLE = """
    CREATE SCHEMA faults;
    CREATE TABLE faults.log (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
        snapshot pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
        kind text NOT NULL,
        toolset_id uuid,
        what jsonb NOT NULL
    );
    CREATE FUNCTION faults.note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            INSERT INTO faults.log (kind, toolset_id, what) VALUES (TG_ARGV[0], OLD.toolset_id, to_jsonb(OLD));
        ELSE
            INSERT INTO faults.log (kind, toolset_id, what) VALUES (TG_ARGV[0], NEW.toolset_id, to_jsonb(NEW));
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE FUNCTION faults.note_mark() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO faults.log (kind, toolset_id, what)
        SELECT 'mark', toolset_id, to_jsonb(NEW) FROM toolset_releases WHERE id = NEW.release_id;
        RETURN NULL;
    END
    $$;
"""
TRIGGERS = """
    CREATE TRIGGER faults_release AFTER INSERT ON toolset_releases
        FOR EACH ROW EXECUTE FUNCTION faults.note('release');
    CREATE TRIGGER faults_labels AFTER UPDATE ON toolset_releases
        FOR EACH ROW WHEN (OLD.labels IS DISTINCT FROM NEW.labels) EXECUTE FUNCTION faults.note('labels');
    CREATE TRIGGER faults_gone AFTER DELETE ON toolset_releases
        FOR EACH ROW EXECUTE FUNCTION faults.note('gone');
    CREATE TRIGGER faults_gone AFTER DELETE ON toolset_versions
        FOR EACH ROW EXECUTE FUNCTION faults.note('version gone');
    CREATE TRIGGER faults_rollback AFTER INSERT ON toolset_rollbacks
        FOR EACH ROW EXECUTE FUNCTION faults.note('rollback');
    CREATE TRIGGER faults_mark AFTER INSERT ON release_marks
        FOR EACH ROW EXECUTE FUNCTION faults.note_mark();
    CREATE TRIGGER faults_claim AFTER UPDATE ON release_requests
        FOR EACH ROW WHEN (NEW.status = 'running' AND OLD.attempts <> NEW.attempts)
        EXECUTE FUNCTION faults.note('claim');
    CREATE TRIGGER faults_answer AFTER UPDATE ON release_requests
        FOR EACH ROW WHEN (NEW.status = 'succeeded' AND OLD.status <> 'succeeded')
        EXECUTE FUNCTION faults.note('answer');
    CREATE TRIGGER faults_failure AFTER UPDATE ON release_requests
        FOR EACH ROW WHEN (NEW.status = 'failed' AND OLD.status <> 'failed')
        EXECUTE FUNCTION faults.note('failure');
"""


def start_log(connection: Connection) -> None:
    """Note, from now on, what the product writes."""
    connection.execute(text(TABLE))
    connection.execute(text(TRIGGERS))


def note_edit(
    connection: Connection,
    toolset_id: UUID,
    *,
    held: bool,
    wrote: Mapping[str, Any],
    found: Mapping[str, Any] | None = None,
) -> None:
    """Note an app's edit in its own transaction, as the last thing that it does. `wrote`: the content of each
    component, as `tests.support.live_state` shows it, None for what is only a part; `found`: what it read before."""
    note = "INSERT INTO faults.log (kind, toolset_id, what) VALUES ('edit', :toolset, CAST(:what AS jsonb))"
    what = {"held": held, "wrote": wrote, "found": found or {}}
    connection.execute(text(note), {"toolset": toolset_id, "what": json.dumps(what)})


def read_log(connection: Connection) -> Sequence[Row[Any]]:
    """All notes in order, with the snapshot in which each was written."""
    query = """
        SELECT seq, kind, toolset_id, what, transaction::text::bigint AS transaction,
               pg_snapshot_xmax(snapshot)::text::bigint AS xmax,
               ARRAY(SELECT xip::text::bigint FROM pg_snapshot_xip(snapshot) AS xip) AS xip
        FROM faults.log ORDER BY seq
    """
    return list(connection.execute(text(query)))
