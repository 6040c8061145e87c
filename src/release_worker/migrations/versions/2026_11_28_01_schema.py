"""Functions find what they use in our schema, whatever the `search_path` of the session that calls them."""

from alembic import op

revision: str = "0024_schema"
down_revision: str | None = "0023_door"

# The body names what it needs, which costs nothing; to set a `search_path` at each call would.
CANONICAL = """
CREATE OR REPLACE FUNCTION release_worker_canonical(document jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN {schema}release_worker_without_zeros(document::text)::jsonb;
END
$$
"""
DIGEST = r"""
CREATE OR REPLACE FUNCTION release_worker_digest(document jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    rendered text := document::text;
BEGIN
    IF position('.' IN rendered) > 0 AND rendered ~ '^(?:[^"]|"(?:[^"\\]|\\.)*")*\.[0-9]*0(?:[],}}]|$)' THEN
        rendered := {schema}release_worker_without_zeros(rendered);
    END IF;
    RETURN encode(sha256(convert_to(rendered, 'UTF8')), 'hex');
END
$$
"""
RELEASES = """
CREATE OR REPLACE FUNCTION release_worker_only_notes_and_labels() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    allowed {schema}toolset_releases := NEW;
BEGIN
    allowed.notes := OLD.notes;
    allowed.labels := OLD.labels;
    IF current_setting('release_worker.pruning', true) = 'on' THEN
        allowed.predecessor_id := OLD.predecessor_id;
    END IF;
    IF allowed IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'of a release only notes and labels may change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
FUNCTIONS = (CANONICAL, DIGEST, RELEASES)


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema()) || '.'").scalar_one()
    for function in FUNCTIONS:
        op.execute(function.format(schema=schema))


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(function.format(schema=""))
