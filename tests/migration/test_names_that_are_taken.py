"""An upgrade of a database that has something of a name of ours already, and was never ours."""

import pytest
from sqlalchemy import Connection, text

from release_worker import migrations
from release_worker.errors import NotConfigured
from release_worker.operations.schema import upgrade_schema
from tests.migration.test_migrations import schema_of


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE TABLE projects (id int)", "table projects"),
        ("CREATE VIEW toolsets AS SELECT 1 AS one", "view toolsets"),
        ("CREATE SEQUENCE variations", "sequence variations"),
        ("CREATE TYPE deployments AS ENUM ('a')", "type deployments"),
        ("CREATE TYPE toolset_versions AS (a int)", "type toolset_versions"),
        ("CREATE DOMAIN release_requests AS int", "type release_requests"),
        ("CREATE TABLE invoices (id int CONSTRAINT organizations_slug_key UNIQUE)", "index organizations_slug_key"),
        (
            "CREATE FUNCTION release_worker_digest(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function release_worker_digest",
        ),
    ],
)
def test_what_has_one_of_our_names_is_named_and_nothing_is_applied(empty: Connection, made: str, named: str) -> None:
    empty.execute(text(made))
    empty.commit()
    before = schema_of(empty)
    with pytest.raises(NotConfigured, match=f"^this database already has an? {named} that release-worker did not make"):
        upgrade_schema(empty.engine.url.render_as_string(hide_password=False))
    assert schema_of(empty) == before
    assert migrations.current_revision(empty) is None


def test_several_are_counted(empty: Connection) -> None:
    empty.execute(text("CREATE TABLE projects (id int)"))
    empty.execute(text("CREATE TABLE toolsets (id int)"))
    empty.commit()
    with pytest.raises(NotConfigured, match="a table projects, and 1 more, that"):
        upgrade_schema(empty.engine.url.render_as_string(hide_password=False))


def test_names_in_another_schema_are_not_in_the_way(empty: Connection) -> None:
    empty.execute(text("CREATE SCHEMA shop"))
    empty.execute(text("CREATE TABLE shop.projects (id int)"))
    empty.commit()
    assert upgrade_schema(empty.engine.url.render_as_string(hide_password=False)).before is None


def test_an_upgrade_goes_on_from_what_is_ours(empty: Connection) -> None:
    migrations.upgrade(empty, "0003_release_records")
    url = empty.engine.url.render_as_string(hide_password=False)
    empty.rollback()
    assert upgrade_schema(url).before == "0003_release_records"
