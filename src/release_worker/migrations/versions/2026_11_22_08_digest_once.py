"""A digest renders its document once, not three times."""

from alembic import op

revision: str = "0008_digest_once"
down_revision: str | None = "0007_release_deployment"

# See release_worker/domain/canonical_json.py for the text that is hashed: that of the document as it stands, unless one
# of its numbers has fractional zeros at its end, or a string looks as if one had.
ONCE = """
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

BEFORE = """
CREATE OR REPLACE FUNCTION release_worker_digest(document jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(release_worker_canonical(document)::text, 'UTF8')), 'hex')
$$
"""


def upgrade() -> None:
    op.execute(ONCE)


def downgrade() -> None:
    op.execute(BEFORE)
