"""A component that breaks a rule is convicted, in words that name the rule; without the fault it is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.components import Parameters, Scope, keyed_diff, members
from release_worker.testing import exercise_component
from tests.support.component_edits import flag_edits
from tests.support.plug_ins import Flags, ToolFlags, create_flags_table

OURS = "owner_id = :toolset_id"
Restore = Callable[[Connection, str, Parameters], object]


@dataclass(frozen=True)
class Suspect:
    """The flags of a toolset. Each field is a rule kept, until a test puts something else in its place."""

    name: str = "flags"
    scope: Scope = "toolset"
    content: str = f"(SELECT jsonb_object_agg(name, value) FROM flags WHERE {OURS})"
    differing: Callable[[str, str], str] = lambda before, after: keyed_diff(members(before), members(after))
    rows: Sequence[str] = (f"SELECT FROM flags WHERE {OURS}",)
    restoring: Restore = Flags().restore

    def capture(self) -> str:
        return self.content

    def diff(self, before: str, after: str) -> str:
        return self.differing(before, after)

    def live_rows(self) -> Sequence[str]:
        return self.rows

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        self.restoring(connection, target, parameters)


def running(*statements: str) -> Restore:
    """A sound restore that runs these statements afterwards."""

    def restore(connection: Connection, target: str, parameters: Parameters) -> None:
        Flags().restore(connection, target, parameters)
        only(*statements)(connection, target, parameters)

    return restore


def only(*statements: str) -> Restore:
    """A restore that runs these statements and nothing else; `{target}` is the target."""

    def restore(connection: Connection, target: str, parameters: Parameters) -> None:
        for statement in statements:
            connection.execute(text(statement.replace("{target}", target)), parameters)

    return restore


def unless_nothing(connection: Connection, target: str, parameters: Parameters) -> None:
    if connection.execute(text(f"SELECT {target} IS NOT NULL"), parameters).scalar():
        Flags().restore(connection, target, parameters)


def committing(connection: Connection, target: str, parameters: Parameters) -> None:
    Flags().restore(connection, target, parameters)
    connection.commit()


def elsewhere(connection: Connection, target: str, parameters: Parameters) -> None:
    with connection.engine.begin() as other:
        Flags().restore(other, target, parameters)


def writing_all_again(connection: Connection, target: str, parameters: Parameters) -> None:
    """If there is any difference."""
    if not is_equal(connection, target, parameters):
        connection.execute(text(DELETE), parameters)
        Flags().restore(connection, target, parameters)


def is_equal(connection: Connection, target: str, parameters: Parameters) -> object:
    query = f"SELECT {Suspect.content} IS NOT DISTINCT FROM {target}"
    return connection.execute(text(query), parameters).scalar()


def spoiling_what_is_equal(statement: str) -> Restore:
    """A sound restore, unless live state is equal to the target already."""

    def restore(connection: Connection, target: str, parameters: Parameters) -> None:
        if is_equal(connection, target, parameters):
            connection.execute(text(statement), parameters)
        else:
            Flags().restore(connection, target, parameters)

    return restore


WITH_ID = "(wanted.value -> 'value')"
WANTED = "SELECT :toolset_id, key, value FROM jsonb_each({target})"
DELETE = f"DELETE FROM flags WHERE {OURS}"
ADD = f"INSERT INTO flags {WANTED} ON CONFLICT DO NOTHING"
CHANGE = f"""
    UPDATE flags SET value = wanted.value FROM jsonb_each({{target}}) AS wanted
    WHERE {OURS} AND name = key AND flags.value <> wanted.value
"""
CHANGE_WITH_ID = CHANGE.replace("wanted.value", WITH_ID)
ADD_WITH_ID = ADD.replace("key, value", "key, value -> 'value'")
REMOVE = f"{DELETE} AND name NOT IN (SELECT jsonb_object_keys({{target}}))"
THROUGH_FLOATS = f"""
    UPDATE flags SET value = to_jsonb(CAST(CAST(value AS text) AS float8))
    WHERE {OURS} AND jsonb_typeof(value) = 'number'
"""
OWN_ID = "jsonb_build_object('id', CAST(:toolset_id AS text))"
DEEP = "CAST(repeat('[', 250) || repeat(']', 250) AS jsonb)"


def aggregated(value: str, where: str = OURS) -> str:
    return f"(SELECT jsonb_object_agg(name, {value}) FROM flags WHERE {where})"


def changed_are_missed(before: str, after: str) -> str:
    return f"SELECT * FROM ({keyed_diff(members(before), members(after))}) AS d WHERE NOT (in_old AND in_new)"


def removed_are_missed(before: str, after: str) -> str:
    return f"SELECT * FROM ({keyed_diff(members(before), members(after))}) AS d WHERE in_new"


def all_are_named(before: str, after: str) -> str:
    return f"""
        SELECT key, b.item AS old, a.item AS new, b.key IS NOT NULL AS in_old, a.key IS NOT NULL AS in_new
        FROM ({members(before)}) AS b FULL JOIN ({members(after)}) AS a USING (key)
    """


def named_twice(before: str, after: str) -> str:
    found = keyed_diff(members(before), members(after))
    return f"{found} UNION ALL {found}"


def sides_exchanged(before: str, after: str) -> str:
    found = keyed_diff(members(before), members(after))
    return f"SELECT key, new AS old, old AS new, in_old, in_new FROM ({found}) AS d"


def keys_of_another_type(before: str, after: str) -> str:
    found = keyed_diff(members(before), members(after))
    return f"SELECT to_jsonb(key) AS key, old, new, in_old, in_new FROM ({found}) AS d"


def nothing_is_refused(before: str, after: str) -> str:
    return keyed_diff(members(f"coalesce({before}, '1')"), members(f"coalesce({after}, '1')"))


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a name with capitals": ({"name": "Flags"}, "its name is not lower-case words"),
    "an unknown scope": ({"scope": "galaxy"}, "its scope is 'galaxy'"),
    "capture that PostgreSQL refuses": ({"content": "(SELECT nothing)"}, "capture failed"),
    "capture of json": ({"content": f"CAST({Suspect.content} AS json)"}, "capture failed"),
    "capture of JSON null": ({"content": f"coalesce({Suspect.content}, 'null')"}, "the JSON value null"),
    "capture of the time": ({"content": "to_jsonb(clock_timestamp())"}, "capture differs when repeated"),
    "capture in the session's time zone": (
        {"content": aggregated("to_jsonb(CAST('2026-01-01 00:00+00' AS timestamptz))")},
        "depends on settings of the session",
    ),
    "capture of what is nested too deeply": ({"content": aggregated(DEEP)}, "nested"),
    "capture of its owner's id": ({"content": OWN_ID}, "two new owners have different content"),
    "capture of ids of rows": (
        {
            "content": aggregated("jsonb_build_object('id', owner_id, 'value', value)"),
            "restoring": only(REMOVE, CHANGE_WITH_ID, ADD_WITH_ID),
        },
        "restored for another owner, is not the same: it holds ids or times",
    ),
    "capture of everybody's rows": (
        {"content": aggregated("value", "true")},
        "adding of another owner's state changed",
    ),
    "capture without the values": ({"content": aggregated("true")}, "does not see what changing changes"),
    "diff without changed items": ({"differing": changed_are_missed}, "diff .* is wrong about a"),
    "diff without removed items": ({"differing": removed_are_missed}, "diff .* is wrong about"),
    "diff with equal items": ({"differing": all_are_named}, "diff of equal contents, .*, is not empty: a, b, c"),
    "diff with a key twice": ({"differing": named_twice}, "the key . twice"),
    "diff the wrong way round": ({"differing": sides_exchanged}, "diff .* is wrong about"),
    "diff with keys that are no text": ({"differing": keys_of_another_type}, "a key that is no text"),
    "diff that does not take NULL": ({"differing": nothing_is_refused}, "diff .* failed"),
    "diff that finds nothing": (
        {"differing": lambda before, after: f"SELECT * FROM ({all_are_named(before, after)}) AS d WHERE false"},
        "diff .* is empty, though the contents differ",
    ),
    "restore that PostgreSQL refuses": ({"restoring": only("SELECT 1 / 0")}, "restore of .* failed: division by zero"),
    "restore without removing": ({"restoring": only(CHANGE, ADD)}, "left differences"),
    "restore without changing": ({"restoring": only(REMOVE, ADD)}, "left differences"),
    "restore without adding": ({"restoring": only(REMOVE, CHANGE)}, "left differences"),
    "restore that leaves what there is if there was nothing": ({"restoring": unless_nothing}, "left differences"),
    "restore through floats": ({"restoring": running(THROUGH_FLOATS)}, "left differences in c"),
    "restore that writes all rows again": (
        {"restoring": writing_all_again},
        "touched rows of items that do not differ",
    ),
    "restore that touches rows of others": (
        {"restoring": running("UPDATE flags SET value = value")},
        "touched state of another owner",
    ),
    "restore that removes rows of others": (
        {"restoring": running("DELETE FROM flags WHERE owner_id <> :toolset_id")},
        "touched state of another owner",
    ),
    "restore that undoes itself when repeated": (
        {"restoring": spoiling_what_is_equal(DELETE)},
        "when live state was equal already, changed the content",
    ),
    "restore that writes rows again when repeated": (
        {"restoring": spoiling_what_is_equal(f"UPDATE flags SET value = value WHERE {OURS}")},
        "when live state was equal already, touched rows",
    ),
    "restore that commits": ({"restoring": committing}, "must never commit"),
    "restore that commits in SQL": ({"restoring": running("COMMIT")}, "must never commit"),
    "restore on a connection of its own": ({"restoring": elsewhere}, "still there after a rollback"),
    "live rows that are not all": (
        {"rows": (f"SELECT FROM flags WHERE {OURS} AND name <> 'a'",)},
        "changing is not held off",
    ),
    "live rows of everybody": ({"rows": ("SELECT FROM flags",)}, "live_rows hold rows of another owner"),
    "live rows that cannot be held": ({"rows": ("SELECT count(*) FROM flags",)}, "FOR UPDATE failed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_component_is_convicted(engine: Engine, fault: str) -> None:
    create_flags_table(engine, owners="toolsets")
    broken, complaint = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"component (flags|Flags): .*({complaint})"):
        exercise_component(Suspect(**broken), engine=engine, edits=flag_edits("toolset"))


def test_the_component_without_a_fault_is_not(engine: Engine) -> None:
    create_flags_table(engine, owners="toolsets")
    exercise_component(Suspect(), engine=engine, edits=flag_edits("toolset"))


def test_a_shared_component_that_depends_on_the_toolset_is_convicted(engine: Engine) -> None:
    create_flags_table(engine, owners="toolsets")
    with pytest.raises(AssertionError, match="two toolsets of one project have different content"):
        exercise_component(Suspect(scope="project", content=OWN_ID), engine=engine, edits=flag_edits("project"))


def test_live_rows_of_a_table_to_which_others_can_add_are_convicted(engine: Engine) -> None:
    create_flags_table(engine)
    with pytest.raises(AssertionError, match="adding is not held off by live_rows and the owner's row"):
        exercise_component(Suspect(), engine=engine, edits=flag_edits("toolset"))


@pytest.mark.parametrize(
    ("reached", "complaint"),
    [
        ("SELECT id FROM nothing", "reach .* failed"),
        ("SELECT 'a toolset' AS id", "reach .* failed"),
        ("SELECT id FROM toolsets", "reach .* names a toolset of another owner"),
    ],
)
def test_a_component_that_is_wrong_about_its_reach_is_convicted(engine: Engine, reached: str, complaint: str) -> None:
    create_flags_table(engine)
    exercise_component(ToolFlags(), engine=engine, edits=flag_edits("project"))
    with pytest.raises(AssertionError, match=f"component flags: .*{complaint}"):
        exercise_component(ToolFlags(reached=reached), engine=engine, edits=flag_edits("project"))


def test_without_edits_nothing_is_proved(engine: Engine) -> None:
    with pytest.raises(AssertionError, match="no edit"):
        exercise_component(Suspect(), engine=engine, edits=())
