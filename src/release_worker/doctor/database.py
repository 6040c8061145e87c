"""PostgreSQL: does it answer, does it have our tables, and may the connected role use them?"""

from collections.abc import Iterator, Sequence

from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Finding, ok, warning, wrong
from release_worker.domain.database import Database
from release_worker.operations.schema import OWN_SCHEMA, SchemaAge, are_elsewhere, check_schema, schema_age
from release_worker.queries.health import postgres_facts
from release_worker.queries.reading import reading
from release_worker.queries.rights import Rights, rights
from release_worker.store.pooling import pooling

OLDEST = 15
_NAMED = 8  # of a list that may be long


def server(deployment: Deployment) -> Iterator[Finding]:
    """Does it answer, and is it new enough?"""
    database = deployment.database()
    with reading(database) as connection:
        facts = postgres_facts(connection)
    yield ok(f"PostgreSQL {facts.said} answers; RELEASE_WORKER_SCHEMA is {database.schema}")
    if facts.version < OLDEST:
        yield wrong(f"PostgreSQL {facts.said} is too old", f"Use PostgreSQL {OLDEST} or newer.")


def schema(deployment: Deployment) -> Iterator[Finding]:
    """Are the tables there, of this version, whole, and with their triggers enabled?"""
    database = deployment.database()
    age = schema_age(database)
    if age is SchemaAge.NEWER:
        yield warning("the schema is newer than this version", "Upgrade release-worker here too.")
        return
    state = check_schema(database)
    if state.elsewhere:
        names = " or ".join(state.elsewhere)
        yield wrong(are_elsewhere(state.elsewhere, database.schema), f"Set RELEASE_WORKER_SCHEMA to {names}.")
    elif state.in_the_way is not None:
        yield wrong(state.in_the_way.removesuffix(f" {OWN_SCHEMA}"), OWN_SCHEMA)
    elif age is SchemaAge.MISSING:
        yield wrong(
            f"there are no tables of release-worker in schema {database.schema}", "Run: release-worker db upgrade"
        )
    elif age is SchemaAge.OLDER:
        yield wrong(
            f"the schema is at revision {state.revision}, and this version needs {state.needed}",
            "Run: release-worker db upgrade",
        )
    elif state.differences:
        yield from (_difference(difference, database) for difference in state.differences)
    else:
        yield ok(f"the schema is at revision {state.revision}")


def _difference(difference: str, database: Database) -> Finding:
    match difference.split():
        case ["trigger", trigger, "on", "table", table, "is", "disabled"]:
            return wrong(
                difference, f"As the tables' owner: ALTER TABLE {database.named(table)} ENABLE TRIGGER {trigger}"
            )
        case ["foreign", "keys", "of", "table", table, "are", "disabled"]:
            return wrong(difference, f"As a superuser: ALTER TABLE {database.named(table)} ENABLE TRIGGER ALL")
        case _:
            made = "`release-worker db upgrade` in an empty database and `pg_dump --schema-only` show how it must be"
            return wrong(difference, f"Mend it by hand; {made}.")


def role(deployment: Deployment) -> Iterator[Finding]:
    """Has the connected role what it needs, and no more?"""
    database = deployment.database()
    with reading(database) as connection:
        found = rights(connection, schema=database.schema, group=deployment.group)
    if found.missing:
        yield wrong(f"role {found.role} lacks {_some(found.missing)}", _giving(found))
    if found.everything is not None:
        yield warning(
            f"role {found.role} is {found.everything}, and so may do more than a worker needs",
            "Connect as a role of its own: release-worker db grants | psql, and then "
            f"CREATE ROLE … LOGIN PASSWORD '…' IN ROLE {found.measured_as}",
        )
    elif found.beyond:
        yield warning(
            f"role {found.role} has more than {found.measured_as} needs: {_some(found.beyond)}",
            f"As the tables' owner: {_revoke(found.beyond[0], found.role)}",
        )
    elif not found.missing:
        yield ok(f"role {found.role} has what {found.measured_as} has, and no more")


def _giving(found: Rights) -> str:
    """How the role gets what it lacks. Whoever has made it a member of a group has decided what it may do: it is never
    put into a stronger one."""
    if found.member_of is None:
        joining = f'GRANT {found.measured_as} TO "{found.role}"'
        return f"As the tables' owner: release-worker db grants | psql, and then {joining}"
    if found.member_of == found.measured_as:
        return f"As the tables' owner: release-worker db grants | psql; {found.role} is in {found.member_of} already"
    login = f"CREATE ROLE … LOGIN PASSWORD '…' IN ROLE {found.measured_as}"
    return f"It is in {found.member_of}. Connect as a role of its own: {login}"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _revoke(privilege: str, name: str) -> str:
    return f'REVOKE {privilege.replace(" on ", " ON ")} FROM "{name}"'


def pooler(deployment: Deployment) -> Iterator[Finding]:
    """Do prepared statements work, if a pooler shares sessions among transactions?"""
    found = pooling(deployment.database().url)
    if not found.by_transaction:
        yield ok("no pooler shares sessions among transactions")
    elif found.keeps_statements:
        yield ok("a pooler shares sessions among transactions, and keeps track of prepared statements")
    elif deployment.settings.prepared_statements:
        yield wrong(
            "a pooler shares sessions among transactions, and loses prepared statements",
            "Set RELEASE_WORKER_PREPARED_STATEMENTS=false for workers and clients, or PgBouncer's "
            "max_prepared_statements above 0.",
        )
    else:
        yield ok("a pooler shares sessions among transactions; nothing is prepared")
