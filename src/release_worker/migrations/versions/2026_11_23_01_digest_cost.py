"""A digest costs what its document's size costs, whatever the strings in it say."""

from alembic import op

revision: str = "0009_digest_cost"
down_revision: str | None = "0008_digest_once"

# The parts of the text of a `jsonb`, as regular expressions. A point outside a string is that of a number, and a number
# has no exponent. Strings hold no bare `"`: it is escaped, and so is the backslash.
STRING = r'"(?:[^"\\]|\\.)*"'
END_OF_NUMBER = r"[],}]|$"
ENDS_WITH_ZEROS = rf'^(?:[^"]|{STRING})*\.[0-9]*0(?:{END_OF_NUMBER})'
# Strings come first, with what follows up to the next point, and stand for themselves: whole runs of them, because
# each match costs. What is left are fractions; the zeros at their end go, and the point if nothing else is behind it.
STRINGS_OR_ZEROS = rf'((?:{STRING}[^".]*)+)|(?:\.0+|(\.[0-9]*[1-9])0+)(?={END_OF_NUMBER})'

# Of the text of a `jsonb`: see release_worker/domain/canonical_json.py.
WITHOUT_ZEROS = rf"""
CREATE FUNCTION release_worker_without_zeros(rendered text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN regexp_replace(rendered, '{STRINGS_OR_ZEROS}', '\1\2', 'g');
END
$$
"""

CANONICAL = """
CREATE OR REPLACE FUNCTION release_worker_canonical(document jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN release_worker_without_zeros(document::text)::jsonb;
END
$$
"""

# Nearly all documents have no such zeros, and the test is half the price of taking them away.
DIGEST = rf"""
CREATE OR REPLACE FUNCTION release_worker_digest(document jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    rendered text := document::text;
BEGIN
    IF position('.' IN rendered) > 0 AND rendered ~ '{ENDS_WITH_ZEROS}' THEN
        rendered := release_worker_without_zeros(rendered);
    END IF;
    RETURN encode(sha256(convert_to(rendered, 'UTF8')), 'hex');
END
$$
"""

CANONICAL_BEFORE = """
CREATE OR REPLACE FUNCTION release_worker_canonical(document jsonb) RETURNS jsonb
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

DIGEST_BEFORE = """
CREATE OR REPLACE FUNCTION release_worker_digest(document jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    rendered text := document::text;
BEGIN
    IF position('.' IN rendered) > 0 AND rendered ~ '\\.[0-9]*0([],}]|$)' THEN
        rendered := release_worker_canonical(document)::text;
    END IF;
    RETURN encode(sha256(convert_to(rendered, 'UTF8')), 'hex');
END
$$
"""


def upgrade() -> None:
    for statement in (WITHOUT_ZEROS, CANONICAL, DIGEST):
        op.execute(statement)


def downgrade() -> None:
    for statement in (CANONICAL_BEFORE, DIGEST_BEFORE, "DROP FUNCTION release_worker_without_zeros(text)"):
        op.execute(statement)
