"""Where the servers keep their files, and who may enter.

<home>/                  ours, 0700; as root 0710, so that PostgreSQL's user can reach what is its own
    owner.lock           held by the process that runs the servers
    postgres/ valkey/    their data; postgres/ belongs to PostgreSQL's user
    <name>.log .lock     of each server
    run/                 the sockets; elsewhere if their path would be too long
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from release_worker import errors
from release_worker.embedded.process import Identity, run

# TMPDIR may be too long for a socket, or closed to PostgreSQL's user.
SHARED_TEMPORARY = Path("/") / "tmp"

# macOS's limit, in bytes; Linux has 107.
SOCKET_PATH_BYTES = 103
LONGEST_SOCKET = "postgres/.s.PGSQL.5432"


def default_data_directory() -> Path:
    """Where `dev` keeps its data. As root, not in the home directory, which is closed to PostgreSQL's user."""
    if os.geteuid() == 0:
        return Path("/var/lib/release-worker")
    return Path.home() / ".local" / "share" / "release-worker"


@contextmanager
def temporary_home(identity: Identity) -> Iterator[Path]:
    """A new directory, removed at the end."""
    configured = Path(tempfile.gettempdir())
    parent = configured if can_enter(configured, identity) else SHARED_TEMPORARY
    with tempfile.TemporaryDirectory(prefix="release-worker-", dir=parent) as name:
        home = Path(name).resolve()
        open_for_passage(home, identity)
        yield home


@contextmanager
def kept_home(directory: Path, identity: Identity) -> Iterator[Path]:
    """The directory, made if it is missing, with us as its only user."""
    home = directory.resolve()
    try:
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir()
            open_for_passage(home, identity)
        lock = (home / "owner.lock").open("a+")
    except OSError as error:
        raise errors.NotConfigured(f"cannot keep data in {home}: {error}", setting="directory") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            user = f"another release-worker, process {lock.read()}"
            message = f"{home} is in use by {user}: stop that one, or use another directory (--directory PATH)"
            raise errors.NotConfigured(message, setting="directory") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _require_entry(home, identity)
        yield home


@contextmanager
def socket_directory(home: Path, identity: Identity) -> Iterator[Path]:
    """A directory whose path suits a socket and a URL, always the same for one `home`; removed at the end."""
    sockets = home / "run"
    plain = re.fullmatch(r"[\w./-]+", str(sockets), re.ASCII)
    if not plain or len(str(sockets / LONGEST_SOCKET)) > SOCKET_PATH_BYTES:
        digest = sha256(f"{os.geteuid()} {home}".encode()).hexdigest()
        sockets = SHARED_TEMPORARY / f"release-worker-{digest[:16]}"
    make_directory(sockets, owner=Identity())
    open_for_passage(sockets, identity)
    try:
        yield sockets
    finally:
        shutil.rmtree(sockets)


def make_directory(path: Path, *, owner: Identity) -> None:
    """Make a directory that only its owner can enter, whatever the umask, or take one that is ours already."""
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise errors.NotConfigured(f"{path} belongs to someone else", setting="directory")
    path.chmod(0o700)
    if owner.uid is not None and owner.gid is not None:
        os.chown(path, owner.uid, owner.gid)


def open_for_passage(path: Path, identity: Identity) -> None:
    """Let this identity, too, go through a directory of ours, and no one else."""
    if identity.gid is None:
        path.chmod(0o700)
    else:
        os.chown(path, -1, identity.gid)
        path.chmod(0o710)


def can_enter(path: Path, identity: Identity) -> bool:
    """Whether a process of this identity can enter the directory, by trying."""
    return run(["/bin/sh", "-c", 'cd -- "$1"', "sh", path], identity=identity, within=10)[0] == 0


def _require_entry(home: Path, identity: Identity) -> None:
    if not can_enter(home, identity):
        message = f"PostgreSQL runs as `nobody` here, because it refuses to run as root, and cannot enter {home}"
        raise errors.NotConfigured(message, setting="directory")
