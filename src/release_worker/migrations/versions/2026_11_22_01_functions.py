"""Functions that the tables and the worker's statements use: new ids, canonical JSON, digests."""

from alembic import op

revision: str = "0001_functions"
down_revision: str | None = None

# RFC 9562 version 7: 48 bits of Unix milliseconds, then random bits. PostgreSQL has uuidv7() only from 18 on.
NEW_ID = """
CREATE FUNCTION release_worker_uuid7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ), 52, 1), 53, 1),
        'hex')::uuid
$$
"""

# The same value with every number's trailing fractional zeros removed, so that numbers equal as decimals have one text.
# Documents without such zeros, nearly all, return at the first test; the others are walked only where they have them.
CANONICAL = """
CREATE FUNCTION release_worker_canonical(document jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF document::text !~ '\\.[0-9]*0([],}]|$)' THEN
        RETURN document;
    END IF;
    RETURN CASE jsonb_typeof(document)
        WHEN 'object' THEN (SELECT jsonb_object_agg(key, release_worker_canonical(value)) FROM jsonb_each(document))
        WHEN 'array' THEN (
            SELECT jsonb_agg(release_worker_canonical(value) ORDER BY place)
            FROM jsonb_array_elements(document) WITH ORDINALITY AS item (value, place)
        )
        WHEN 'number' THEN to_jsonb(trim_scale(document::numeric))
        ELSE document
    END;
END
$$
"""

# See release_worker/domain/canonical_json.py for the text that is hashed.
DIGEST = """
CREATE FUNCTION release_worker_digest(document jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(release_worker_canonical(document)::text, 'UTF8')), 'hex')
$$
"""


def upgrade() -> None:
    for statement in (NEW_ID, CANONICAL, DIGEST):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION release_worker_digest(jsonb)")
    op.execute("DROP FUNCTION release_worker_canonical(jsonb)")
    op.execute("DROP FUNCTION release_worker_uuid7()")
