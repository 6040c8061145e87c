"""What is nested too deeply for all who must read it is refused where it is captured."""

from alembic import op

revision: str = "0010_depth"
down_revision: str | None = "0009_digest_cost"

# See DEEPEST in release_worker/domain/canonical_json.py. Too deep is a value inside more than so many arrays and objects.
DEEPEST = 200
TOO_DEEP = f"strict $.**{{{DEEPEST + 1}}}"

# The value, if it can be shown. SQLSTATE RW001 becomes UnsupportedContent, and its detail the place.
NOT_TOO_DEEP = f"""
CREATE FUNCTION release_worker_not_too_deep(value jsonb, place text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF jsonb_path_exists(value, '{TOO_DEEP}') THEN
        RAISE EXCEPTION 'nested more than {DEEPEST} levels deep' USING ERRCODE = 'RW001', DETAIL = place;
    END IF;
    RETURN value;
END
$$
"""

# Called only for what is too deep. Arguments: the column; how many keys lead to an item as `changes` names it; and the
# component, if the row does not say it.
REFUSE = f"""
CREATE FUNCTION release_worker_refuse_depth() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    written jsonb := to_jsonb(NEW);
    inner_value jsonb := written -> TG_ARGV[0];
    place text := coalesce(TG_ARGV[2], written ->> 'component', (written ->> 'scope') || '_variations');
    name text;
BEGIN
    FOR level IN 1 .. TG_ARGV[1]::int LOOP
        EXIT WHEN jsonb_typeof(inner_value) <> 'object';
        SELECT key, value INTO name, inner_value FROM jsonb_each(inner_value)
        WHERE jsonb_path_exists(value, format('strict $.**{{%s}}', {DEEPEST + 1} - level)::jsonpath)
        ORDER BY key COLLATE "C" LIMIT 1;
        place := concat(place, CASE level WHEN 1 THEN ': ' ELSE '/' END, name);
    END LOOP;
    RAISE EXCEPTION 'nested more than {DEEPEST} levels deep' USING ERRCODE = 'RW001', DETAIL = place;
END
$$
"""

# Table, column, and the arguments of the function. What is stored already stays as it is: it is never written again.
CONTENTS = (
    ("toolset_versions", "settings", "0, 'settings: settings'"),
    ("source_states", "deployment_snapshot", "2, 'deployment'"),
    ("source_states", "system_snapshot", "2, 'system'"),
    ("variation_versions", "config", "1"),
    ("component_states", "content", "1"),
)


def upgrade() -> None:
    op.execute(NOT_TOO_DEEP)
    op.execute(REFUSE)
    for table, column, arguments in CONTENTS:
        op.execute(
            f"CREATE TRIGGER {table}_{column}_depth BEFORE INSERT ON {table} FOR EACH ROW"
            f" WHEN (jsonb_path_exists(NEW.{column}, '{TOO_DEEP}'))"
            f" EXECUTE FUNCTION release_worker_refuse_depth('{column}', {arguments})"
        )


def downgrade() -> None:
    for table, column, _ in CONTENTS:
        op.execute(f"DROP TRIGGER {table}_{column}_depth ON {table}")
    op.execute("DROP FUNCTION release_worker_refuse_depth()")
    op.execute("DROP FUNCTION release_worker_not_too_deep(jsonb, text)")
