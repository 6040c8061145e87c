"""Each check of `doctor`: what makes it find something, and that what it says to do mends it."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from redis import Redis
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from release_worker import migrations
from release_worker.doctor import examination, software
from release_worker.doctor.checks import CHECKS
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.examination import examine, fails
from release_worker.doctor.finding import Check, Finding, Level, ok
from release_worker.domain.database import in_sql
from release_worker.embedded.process import eventually
from release_worker.migrations.privileges import Privilege, executable, granted
from release_worker.queries.rights import GROUPS
from release_worker.settings import given_settings
from release_worker.testing.running.databases import EMPTY
from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine, settings
from tests.support.elsewhere import SCHEMA, skip_elsewhere
from tests.support.ledger import ask, claim, end_leases, grow_old, record
from tests.support.pgbouncer import needs_pgbouncer, pooler
from tests.support.records import releases_of
from tests.support.servers import Servers, skip_if_given
from tests.support.workers import LONG, Service, running_worker, service

CHECK = {check.name: check for check in CHECKS}


@dataclass(frozen=True)
class Patient:
    """A deployment, and how to follow what is said about it."""

    served: Service
    deployment: Deployment
    run: CommandLine

    def found(self, name: str) -> Sequence[Finding]:
        """What one check finds now."""
        afresh = replace(self.deployment, _answers=[])
        return examine(afresh, checks=[CHECK[name]], within=LONG)[CHECK[name]]

    def levels(self, name: str) -> set[Level]:
        return {finding.level for finding in self.found(name)}

    def worst(self, name: str, level: Level = Level.WRONG) -> tuple[str, str]:
        """The one finding of this level, and what to do."""
        [finding] = [one for one in self.found(name) if one.level is level]
        assert finding.remedy is not None
        return finding.found, finding.remedy

    def follow(self, remedy: str) -> None:
        """Run the one command of ours that a remedy names."""
        [command] = re.findall(r"release-worker ([a-z]+ [a-z]+)", remedy)
        assert self.run(*command.split()).status == 0


@pytest.fixture
def patient(servers: Servers, tmp_path: Path) -> Iterator[Patient]:
    with service(servers, broker_database=11) as served:
        urls = {"database_url": served.database_url, "broker_url": served.broker_url}
        values = {**urls, "health_directory": str(tmp_path / "signs")}
        yield Patient(served, Deployment(given_settings(**values)), CommandLine(settings(**values)))


def execute(engine: Engine, script: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(script.replace("%", "%%"))


def test_every_check_has_a_name_of_its_own_and_says_something_of_a_good_deployment(patient: Patient) -> None:
    assert len(CHECK) == len(CHECKS)
    with running_worker(patient.served):
        found = examine(patient.deployment, within=LONG)
    assert list(found) == list(CHECKS)
    wrong = [one for findings in found.values() for one in findings if one.level is Level.WRONG]
    assert wrong == []
    silent = {check.name for check, findings in found.items() if not findings}
    assert silent == {"locks"}  # there is nothing to say of them but that there are none


def test_a_python_that_is_too_old_is_named(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert patient.levels("versions") == {Level.OK}
    monkeypatch.setattr(software, "OLDEST_PYTHON", (9, 0))
    assert "Use Python" in patient.worst("versions")[1]


def test_without_tables_it_says_how_to_make_them(servers: Servers) -> None:
    with servers.databases.temporary(template=EMPTY) as url:
        values = {"database_url": url, "broker_url": servers.broker(11)}
        run = CommandLine(settings(**values))
        [schema] = look(values, "schema")
        none = f"there are no tables of release-worker in schema {SCHEMA}"
        assert (schema.level, schema.found) == (Level.WRONG, none)
        assert schema.remedy == "Run: release-worker db upgrade"
        assert run("db", "upgrade").status == 0
        assert [one.level for one in look(values, "schema")] == [Level.OK]


def test_if_the_setting_names_another_schema_it_says_where_the_tables_are(patient: Patient) -> None:
    assert patient.found("database")[0].found.endswith(f"; RELEASE_WORKER_SCHEMA is {SCHEMA}")
    forgotten = replace(
        patient,
        deployment=Deployment(patient.deployment.settings.model_copy(update={"database_schema": "releases"})),
        run=CommandLine({**patient.run.environment, "RELEASE_WORKER_SCHEMA": "releases"}),
    )
    found, remedy = forgotten.worst("schema")
    assert found.endswith(f"in schema {in_sql(SCHEMA)} of this database, and RELEASE_WORKER_SCHEMA is releases")
    assert remedy == f"Set RELEASE_WORKER_SCHEMA to {SCHEMA}."
    assert forgotten.run("db", "check").out.lower() == f"{found.lower()}.\n"
    refused = forgotten.run("db", "upgrade")
    assert (refused.status, refused.err.startswith(f"error: {found}. Set it to that schema; ")) == (1, True)
    assert len(refused.err.splitlines()) == 1, "no advice about servers"
    assert patient.levels("schema") == {Level.OK}
    assert forgotten.run("db", "upgrade", "--beside-another").out.startswith("The tables are made: ")
    assert (forgotten.levels("schema"), patient.levels("schema")) == ({Level.OK}, {Level.OK})
    assert patient.run("db", "upgrade").status == forgotten.run("db", "upgrade").status == 0


def look(values: dict[str, str], name: str) -> Sequence[Finding]:
    return examine(Deployment(given_settings(**values)), checks=[CHECK[name]], within=LONG)[CHECK[name]]


def test_an_older_and_a_newer_schema_are_told_apart(patient: Patient) -> None:
    with patient.served.engine.connect() as connection:
        before = migrations.current_revision(connection)
        migrations.downgrade(connection, "-1")
    assert "this version needs" in patient.worst("schema")[0]
    patient.follow(patient.worst("schema")[1])
    assert patient.levels("schema") == {Level.OK}
    execute(patient.served.engine, "UPDATE release_worker_alembic_version SET version_num = 'of the future'")
    assert patient.worst("schema", Level.WARNING)[0] == "the schema is newer than this version"
    execute(patient.served.engine, f"UPDATE release_worker_alembic_version SET version_num = '{before}'")


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE toolset_releases DISABLE TRIGGER toolset_releases_immutable",
        "ALTER TABLE toolset_tools DISABLE TRIGGER ALL",
    ],
)
def test_what_is_disabled_is_named_with_the_statement_that_enables_it(patient: Patient, damage: str) -> None:
    execute(patient.served.engine, damage)
    found = patient.found("schema")
    assert {one.level for one in found} == {Level.WRONG}
    for finding in found:
        assert finding.remedy is not None
        execute(patient.served.engine, finding.remedy.split(": ", 1)[1])
    assert patient.levels("schema") == {Level.OK}


def test_what_somebody_has_removed_is_named(patient: Patient) -> None:
    execute(patient.served.engine, "DROP TRIGGER toolset_releases_immutable ON toolset_releases")
    assert patient.worst("schema")[0] == "trigger toolset_releases_immutable on table toolset_releases is missing"


@pytest.fixture
def user(patient: Patient) -> Iterator[str]:
    """A role that may log in, and nothing else; the groups' grants end with the test."""
    name, owner = f"user_{uuid4().hex[:12]}", patient.served.engine
    execute(owner, f"CREATE ROLE {name} LOGIN")
    yield name
    execute(owner, f"DROP OWNED BY {name}")
    execute(owner, f"DROP ROLE {name}")
    for group in GROUPS:
        with suppress(DBAPIError):  # another database has granted something to it, or it was never made
            execute(owner, f"DROP OWNED BY {group}")
            execute(owner, f"DROP ROLE {group}")


def as_user(patient: Patient, user: str, group: str | None = None) -> Patient:
    url = make_url(patient.served.database_url).set(username=user).render_as_string(hide_password=False)
    deployed = Deployment(patient.deployment.settings.model_copy(update={"database_url": url}), group=group)
    return replace(patient, deployment=deployed)


@pytest.mark.usefixtures("user")
def test_the_script_of_grants_is_read_as_postgresql_carries_it_out(patient: Patient) -> None:
    owner = patient.served.engine
    execute(owner, migrations.grants())
    columns = """
        SELECT privilege_type, table_name, column_name FROM information_schema.role_column_grants AS columns
        WHERE grantee = :group AND table_schema = :schema AND NOT EXISTS (
            SELECT FROM information_schema.role_table_grants AS tables
            WHERE tables.grantee = :group AND tables.table_name = columns.table_name
              AND tables.table_schema = columns.table_schema AND tables.privilege_type = columns.privilege_type)
        UNION ALL
        SELECT privilege_type, table_name, NULL FROM information_schema.role_table_grants
        WHERE grantee = :group AND table_schema = :schema
    """
    for group, privileges in granted(migrations.grants()).items():
        with owner.connect() as connection:
            given = {Privilege(*row) for row in connection.execute(text(columns), {"group": group, "schema": SCHEMA})}
        whole = {(one.action, one.table) for one in privileges if one.column is None}
        assert {one for one in privileges if one.column is None or (one.action, one.table) not in whole} == given
    functions = """
        SELECT proname || '(' || oidvectortypes(proargtypes) || ')'
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace, aclexplode(proacl) AS given
        WHERE nspname = :schema AND grantee = (SELECT oid FROM pg_roles WHERE rolname = :group)
    """
    for group, signatures in executable(migrations.grants()).items():
        with owner.connect() as connection:
            called = connection.execute(text(functions), {"group": group, "schema": SCHEMA}).scalars()
            assert set(called) == signatures
    assert set(granted(migrations.grants())) == set(GROUPS)


@pytest.mark.parametrize("group", ["worker", "app", "reader", "caller"])
def test_a_role_that_lacks_rights_is_told_which_and_gets_them_from_grants(
    patient: Patient, user: str, group: str
) -> None:
    owner, ours = patient.served.engine, as_user(patient, user, f"release_worker_{group}")
    found, remedy = ours.worst("role")
    assert f"role {user} lacks " in found
    execute(owner, patient.run("db", "grants").out)
    execute(owner, remedy.split("and then ")[1])
    assert ours.levels("role") == {Level.OK}
    assert as_user(patient, user).levels("role") == {Level.OK}, "its group is known without being said"


@pytest.mark.parametrize("group", GROUPS)
def test_a_member_of_a_group_is_measured_by_it_and_never_told_to_become_a_member_of_another(
    patient: Patient, user: str, group: str
) -> None:
    owner = patient.served.engine
    execute(owner, patient.run("db", "grants").out)
    execute(owner, f"GRANT {group} TO {user}")
    found = examine(as_user(patient, user).deployment, within=LONG)
    [finding] = found[CHECK["role"]]
    assert finding == ok(f"role {user} has what {group} has, and no more")
    for other in GROUPS[: GROUPS.index(group)]:
        _, remedy = as_user(patient, user, other).worst("role")
        assert f"is in {group}" in remedy
        assert f"GRANT {other}" not in remedy


def test_of_several_groups_the_strongest_counts(patient: Patient, user: str) -> None:
    execute(patient.served.engine, patient.run("db", "grants").out)
    execute(patient.served.engine, f"GRANT release_worker_app, release_worker_caller TO {user}")
    [finding] = as_user(patient, user).found("role")
    assert "what release_worker_app has" in finding.found


@skip_elsewhere("a function is then named with the schema")
@pytest.mark.parametrize("name", ["release_worker_request", "release_worker_accept"])
def test_a_function_that_a_group_may_no_longer_call_is_found_and_granted_again(
    patient: Patient, user: str, name: str
) -> None:
    owner, ours = patient.served.engine, as_user(patient, user)
    execute(owner, patient.run("db", "grants").out)
    execute(owner, f"GRANT release_worker_app TO {user}")
    assert patient.run("db", "upgrade").out.count("--grants") == 0
    execute(owner, f"REVOKE EXECUTE ON FUNCTION {name} FROM release_worker_app")
    found, remedy = ours.worst("role")
    assert f"lacks EXECUTE on function {name}(text, text, text, " in found
    assert "GRANT " not in remedy
    told = patient.run("db", "upgrade").out.splitlines()[-1]
    assert told.startswith("release_worker_app may do less than it needs: run ")
    assert told.endswith(" db upgrade --grants")
    assert patient.run("db", "upgrade", "--json").document["groups_that_lack_rights"] == ["release_worker_app"]
    assert "may do less" not in patient.run("db", "upgrade", "--grants").out
    assert ours.levels("role") == {Level.OK}


@skip_elsewhere("a privilege is then named with the schema")
@pytest.mark.parametrize("privilege", ["TRUNCATE ON toolset_releases", "UPDATE (digest) ON toolset_releases"])
def test_a_role_that_may_do_more_is_warned_and_the_statement_takes_it_away(
    patient: Patient, user: str, privilege: str
) -> None:
    owner, ours = patient.served.engine, as_user(patient, user)
    execute(owner, patient.run("db", "grants").out)
    execute(owner, f"GRANT release_worker_worker TO {user}")
    execute(owner, f"GRANT {privilege} TO {user}")
    found, remedy = ours.worst("role", Level.WARNING)
    assert privilege.replace(" ON ", " on ") in found
    execute(owner, remedy.split(": ", 1)[1])
    assert ours.levels("role") == {Level.OK}


def test_a_superuser_is_warned(patient: Patient) -> None:
    assert "is a superuser" in patient.worst("role", Level.WARNING)[0]


@needs_pgbouncer
def test_a_pooler_that_loses_prepared_statements_is_found(patient: Patient) -> None:
    assert patient.levels("pooler") == {Level.OK}
    with pooler(patient.served.database_url) as between:
        behind = patient.deployment.settings.model_copy(update={"database_url": between.url})
        found, remedy = replace(patient, deployment=Deployment(behind)).worst("pooler")
        assert "loses prepared statements" in found
        [(name, value)] = re.findall(r"RELEASE_WORKER_(PREPARED_STATEMENTS)=(false)", remedy)
        mended = behind.model_copy(update={name.lower(): value == "true"})
        assert replace(patient, deployment=Deployment(mended)).levels("pooler") == {Level.OK}


@contextmanager
def configured(servers: Servers, name: str, value: str) -> Iterator[Redis]:
    """A setting of the broker's, as long as the block lasts."""
    skip_if_given(servers)
    with Redis.from_url(servers.redis_url, decode_responses=True) as redis:
        before = redis.config_get(name)[name]
        redis.config_set(name, value)
        try:
            yield redis
        finally:
            redis.config_set(name, before)


def set_as_told(redis: Redis, remedy: str) -> None:
    [(name, value)] = re.findall(r"CONFIG SET (\S+) (\w+)", remedy)
    redis.config_set(name, value)


def test_a_redis_that_may_throw_away_what_it_holds_is_found(servers: Servers, patient: Patient) -> None:
    assert patient.levels("eviction") == {Level.OK}
    with configured(servers, "maxmemory-policy", "allkeys-lru") as redis:
        found, remedy = patient.worst("eviction")
        assert "the Redis of broker and locks has maxmemory-policy allkeys-lru" in found
        set_as_told(redis, remedy)
        assert patient.levels("eviction") == {Level.OK}


def test_a_broker_that_forgets_its_messages_is_warned_of(servers: Servers, patient: Patient) -> None:
    assert patient.levels("persistence") == {Level.OK}
    with configured(servers, "appendonly", "no") as redis:
        _, remedy = patient.worst("persistence", Level.WARNING)
        set_as_told(redis, remedy)
        assert patient.levels("persistence") == {Level.OK}


def test_a_redis_that_does_not_tell_its_settings_is_not_called_wrong(servers: Servers, patient: Patient) -> None:
    skip_if_given(servers)
    name, path = f"user_{uuid4().hex[:8]}", servers.broker(11).partition("?")[0].removeprefix("redis+socket://")
    with patient.served.redis() as redis:
        redis.execute_command("ACL", "SETUSER", name, "on", ">secret", "~*", "&*", "+@all", "-config")
        try:
            url = f"redis+socket://{name}:secret@{path}?virtual_host=11"
            values = {"database_url": patient.served.database_url, "broker_url": url}
            assert {one.level for one in look(values, "eviction")} == {Level.UNKNOWN}
            assert {one.level for one in look(values, "persistence")} == {Level.UNKNOWN}
        finally:
            redis.execute_command("ACL", "DELUSER", name)


def test_a_deployment_without_locks_is_warned_and_redis_brings_them() -> None:
    values = {"broker_url": "amqp://nowhere.test//"}
    [finding] = look(values, "locks")
    assert (finding.level, finding.remedy) == (Level.WARNING, "Set RELEASE_WORKER_REDIS_URL.")
    assert look({**values, "redis_url": "redis://nowhere.test/0"}, "locks") == ()


@pytest.mark.parametrize(("shift", "level"), [(-60.0, Level.WRONG), (60.0, Level.WRONG), (3.0, Level.WARNING)])
def test_clocks_that_differ_are_found(patient: Patient, shift: float, level: Level) -> None:
    assert patient.levels("clocks") == {Level.OK}
    shifted = replace(patient, deployment=replace(patient.deployment, now=lambda: time.time() + shift))
    found = shifted.found("clocks")
    assert [one.level for one in found] == [level, level]
    assert ("PostgreSQL" in found[0].found, "Redis" in found[1].found) == (True, True)
    assert ("behind" if shift > 0 else "ahead of") in found[0].found
    assert "NTP" in str(found[0].remedy)


def test_without_a_worker_it_says_how_to_start_one_and_which_queues_nobody_reads(patient: Patient) -> None:
    _, remedy = patient.worst("workers")
    assert remedy.endswith("celery -A release_worker worker")
    with running_worker(patient.served, "--queues", "releases,maintenance"):
        assert patient.levels("workers") == {Level.OK}
        found, remedy = patient.worst("queues")
        assert found == "no worker reads queue rollbacks"
        with running_worker(patient.served, *remedy.split("worker ")[-1].split(), "--hostname", "second@%h"):
            assert patient.levels("queues") == {Level.OK}


def test_messages_that_name_no_queue_are_found_and_done_as_it_says(patient: Patient) -> None:
    served = patient.served
    billing = a_full_toolset(served.engine)
    assert patient.levels("stray") == {Level.OK}
    with served.stranger() as app:
        app.send_task("somebody.elses.task")
        assert patient.levels("stray") == {Level.OK}
        sent = app.send_task("release_worker.create_release", kwargs={"toolset": billing.path, "actor": "stranger"})
    found, remedy = patient.worst("stray")
    assert found.endswith("1 of release_worker.create_release")
    [queues] = re.findall(r"-Q (\S+),? with", remedy)
    [(name, value)] = re.findall(r"RELEASE_WORKER_(\w+)=(\w+)", remedy)
    with running_worker(replace(served, more={**served.more, name: value}), "--queues", queues.rstrip(",")):
        assert eventually(
            lambda: [row.request_id for row in releases_of(served.engine, billing)] == [sent.id], within=LONG
        )
        assert patient.levels("stray") == {Level.OK}


def test_a_consumer_that_has_messages_delivered_again_too_soon_is_found(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text('broker_transport_options = {"visibility_timeout": 20}\n')
    with running_worker(patient.served, directory=tmp_path):
        found, remedy = patient.worst("visibility")
        assert "delivered again after 20 s" in found
    [line] = re.findall(r'broker_transport_options = \{"visibility_timeout": \d+\}', remedy)
    (tmp_path / "celeryconfig.py").write_text(line)
    with running_worker(patient.served, directory=tmp_path):
        assert patient.levels("visibility") == {Level.OK}


def test_a_request_that_nobody_sweeps_is_found_and_published_again(patient: Patient) -> None:
    assert (patient.levels("beat"), patient.levels("requests")) == ({Level.UNKNOWN}, {Level.OK})
    lost = ask(patient.served.engine, a_full_toolset(patient.served.engine))
    grow_old(patient.served.engine, 60)
    assert "1 requests are overdue" in patient.worst("beat")[0]
    found, remedy = patient.worst("requests")
    assert lost in found
    patient.follow(remedy.split(". ")[0])
    assert patient.levels("requests") == {Level.OK}


def test_a_request_whose_worker_has_gone_silent_is_told_by_whether_it_has_attempts_left(patient: Patient) -> None:
    engine = patient.served.engine
    stuck = ask(engine, a_full_toolset(engine))
    claim(engine, stuck)
    end_leases(engine)
    grow_old(engine, 60)
    assert stuck in patient.worst("requests", Level.WARNING)[0]
    execute(engine, "UPDATE release_requests SET attempts = 10")
    found, remedy = patient.worst("requests")
    assert "no attempts left" in found
    patient.follow(remedy.split(". ")[0])
    assert record(engine, stuck).status == "failed"
    assert patient.levels("requests") == {Level.OK}


def test_if_the_broker_is_away_the_database_is_looked_at_all_the_same(patient: Patient, tmp_path: Path) -> None:
    values = {"database_url": patient.served.database_url, "broker_url": f"redis+socket://{tmp_path}/none.sock"}
    found = examine(Deployment(given_settings(**values)), within=LONG)
    levels = {check.name: {one.level for one in findings} for check, findings in found.items()}
    assert levels["broker"] == {Level.WRONG}
    assert levels["database"] == levels["schema"] == levels["requests"] == {Level.OK}
    for name in ("eviction", "persistence", "workers", "queues", "stray", "visibility"):
        assert levels[name] == {Level.UNKNOWN}, name
        assert "no answer within" not in found[CHECK[name]][0].found


def test_if_the_broker_is_away_what_waits_is_told_to_wait_for_it(patient: Patient, tmp_path: Path) -> None:
    ask(patient.served.engine, a_full_toolset(patient.served.engine))
    grow_old(patient.served.engine, 60)
    url = f"redis+socket://{tmp_path}/none.sock"
    cut_off = replace(
        patient,
        deployment=Deployment(patient.deployment.settings.model_copy(update={"broker_url": url})),
        run=CommandLine({**patient.run.environment, "RELEASE_WORKER_BROKER_URL": url}),
    )
    for name in ("beat", "requests"):
        assert cut_off.worst(name)[1].startswith("Start the broker "), name
    lines = cut_off.run("doctor").out.splitlines()
    assert [line for line in lines if ".. " in line] == []
    swept = cut_off.run("requests", "sweep")
    assert (swept.status, swept.out) == (1, "")
    assert swept.err.startswith("error: the broker cannot be reached: ")
    again = cut_off.run("requests", "sweep")
    assert (again.status, again.err.startswith("error: the broker cannot be reached: ")) == (1, True), "none is due"


def test_if_the_database_is_away_the_broker_is_looked_at_all_the_same(patient: Patient) -> None:
    url = make_url(patient.served.database_url).set(username="nobody_of_this_name").render_as_string(False)
    found = examine(Deployment(given_settings(database_url=url, broker_url=patient.served.broker_url)), within=LONG)
    levels = {check.name: {one.level for one in findings} for check, findings in found.items()}
    assert levels["database"] == {Level.WRONG}
    assert levels["schema"] == levels["requests"] == {Level.UNKNOWN}
    assert levels["broker"] == levels["eviction"] == {Level.OK}


def test_without_settings_each_check_says_what_to_set() -> None:
    found = examine(Deployment(given_settings()), within=LONG)
    said = {one.found for findings in found.values() for one in findings if one.level is Level.WRONG}
    assert {"RELEASE_WORKER_DATABASE_URL is not set", "RELEASE_WORKER_BROKER_URL is not set"} <= said


def test_a_server_that_takes_connections_and_never_answers_holds_nobody_up(patient: Patient) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        values = {"database_url": patient.served.database_url, "broker_url": url}
        found = examine(Deployment(given_settings(**values)), within=10)
    levels = {check.name: [one.level for one in findings] for check, findings in found.items()}
    assert found[CHECK["broker"]][0].found == "broker: no answer within 10 s"
    assert levels["stray"] == levels["visibility"] == [Level.UNKNOWN]
    assert levels["database"] == levels["schema"] == [Level.OK]


def test_a_check_that_breaks_hides_nothing_else(patient: Patient) -> None:
    def broken(_: Deployment) -> Iterator[Finding]:
        raise ZeroDivisionError

    checks = [Check("broken", "x", broken), Check("fine", "x", lambda _: [ok("fine")])]
    found = examine(patient.deployment, checks=checks, within=LONG)
    assert [[one.level for one in findings] for findings in found.values()] == [[Level.UNKNOWN], [Level.OK]]
    assert not fails(one for findings in found.values() for one in findings)


def test_a_check_that_breaks_shows_where_and_no_value_of_a_variable(
    patient: Patient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_deployment: Deployment) -> Sequence[Finding]:
        password = "hunter2".upper()
        raise RuntimeError(len(password))

    # A logger of its own, as outside of a worker: an earlier test may have had the module's bound to a worker's.
    structlog.reset_defaults()
    monkeypatch.setattr(examination, "logger", structlog.get_logger())
    examine(patient.deployment, checks=[Check("broken", "software", breaks)])

    shown = capsys.readouterr().out
    assert "in breaks" in shown
    assert "HUNTER2" not in shown
