"""What is wrong with a request is one clear error, to its caller and in the ledger, and changes nothing else."""

import base64
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import InvalidRequest, ReleaseNotFound, ReleaseWorkerError, ToolsetNotFound
from tests.support.ledger import ledger, record
from tests.support.records import all_but_requests, releases_of
from tests.support.workers import LONG, Service, answer
from tests.support.world import Toolset

THIS = object()  # stands for the path of the test's toolset

# Task, positional arguments, keyword arguments, the fields that are wrong.
BAD: Mapping[str, tuple[str, list[Any], dict[str, Any], list[str]]] = {
    "nothing at all": ("create_release", [], {}, ["actor", "toolset"]),
    "a toolset that is no name": ("create_release", [], {"toolset": "billing", "actor": "x"}, ["toolset"]),
    "a bad UUID": ("create_release", [], {"toolset": "0190-zz", "actor": "x"}, ["toolset"]),
    "a name with a line break": ("create_release", [], {"toolset": "a/b/c\n", "actor": "x"}, ["toolset"]),
    "an empty actor": ("create_release", [THIS, ""], {}, ["actor"]),
    "a number as actor": ("create_release", [THIS, 7], {}, ["actor"]),
    "10 MB of notes": ("create_release", [THIS, "x"], {"notes": "n" * 10_000_000}, ["notes"]),
    "NUL in the notes": ("create_release", [THIS, "x"], {"notes": "a\x00b"}, ["notes"]),
    "NUL in a label": ("create_release", [THIS, "x"], {"labels": {"a": ["\x00"]}}, ["labels"]),
    "a control character": ("create_release", [THIS, "x"], {"notes": "\x1b[2J"}, ["notes"]),
    "half a character": ("create_release", [THIS, "x"], {"notes": "\ud800"}, ["notes"]),
    "not a number in a label": ("create_release", [THIS, "x"], {"labels": {"a": float("nan")}}, ["labels"]),
    "labels that are a list": ("create_release", [THIS, "x"], {"labels": ["a"]}, ["labels"]),
    "a word for a truth value": ("create_release", [THIS, "x"], {"only_if_changed": "yes"}, ["only_if_changed"]),
    "an unknown field": ("create_release", [THIS, "x"], {"note": "n"}, ["note"]),
    "a field of Python's": ("create_release", [THIS, "x"], {"task": 1, "cls": 2}, ["cls", "task"]),
    "an argument given twice": ("create_release", [THIS, "x"], {"actor": "y"}, ["actor"]),
    "too many arguments": ("create_release", [THIS, "x", None, None, False, None, None, 8], {}, ["arguments"]),
    "a negative number": ("rollback", [THIS, -1, "x"], {}, ["release_number"]),
    "a number past 64 bits": ("rollback", [THIS, 2**63, "x"], {}, ["release_number"]),
    "a fraction": ("rollback", [THIS, 1.0, "x"], {}, ["release_number"]),
    "a truth value for a number": ("rollback", [THIS, True, "x"], {}, ["release_number"]),
    "an unknown component": ("rollback", [THIS, 1, "x"], {"components": ["tools", "toolz"]}, ["components"]),
    "no component": ("rollback", [THIS, 1, "x"], {"components": []}, ["components"]),
    "a component twice": ("rollback", [THIS, 1, "x"], {"components": ["tools", "tools"]}, ["components"]),
    "an unknown way": ("rollback", [THIS, 1, "x"], {"on_missing": "ignore"}, ["on_missing"]),
    "no release kept": ("prune", [THIS, 0, "x"], {}, ["keep"]),
}


def send(served: Service, kind: str, args: Any, kwargs: Any, **options: Any) -> Any:
    queues = {"create_release": "releases", "rollback": "rollbacks"}
    with served.stranger() as app:
        queue = queues.get(kind, "maintenance")
        return app.send_task(f"release_worker.{kind}", args=args, kwargs=kwargs, queue=queue, **options)


def refused_with(served: Service, error: type[ReleaseWorkerError], sent: Any) -> ReleaseWorkerError:
    """The error that the caller gets, which must be the one in the ledger."""
    with pytest.raises(error) as raised:
        answer(sent)
    row = record(served.engine, sent.id)
    assert (row.status, row.error) == ("failed", raised.value.as_record())
    assert "\n" not in raised.value.message
    return raised.value


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_every_problem_named(served: Service, billing: Toolset, case: str) -> None:
    kind, args, kwargs, wrong = BAD[case]
    answer(send(served, "create_release", [billing.path, "before"], {}))
    before = all_but_requests(served.engine)
    args = [billing.path if value is THIS else value for value in args]
    refused = refused_with(served, InvalidRequest, send(served, kind, args, kwargs))
    assert sorted({problem["field"].partition(".")[0] for problem in refused.details["problems"]}) == wrong
    assert len(json.dumps(refused.as_record())) < 5_000
    assert all_but_requests(served.engine) == before


def test_what_is_not_there_is_named(served: Service, billing: Toolset) -> None:
    before = all_but_requests(served.engine)
    unknown = "acme/payments/nothing"
    missing = refused_with(served, ToolsetNotFound, send(served, "create_release", [unknown, "x"], {}))
    assert missing.details == {"toolset": unknown}
    nowhere = str(uuid4())
    missing = refused_with(served, ToolsetNotFound, send(served, "rollback", [nowhere, 1, "x"], {}))
    assert missing.details == {"toolset": nowhere}
    missing = refused_with(served, ReleaseNotFound, send(served, "rollback", [billing.path, 1, "x"], {}))
    assert missing.details == {"toolset": billing.path, "release_number": 1}
    assert all_but_requests(served.engine) == before


class MakesAFile:
    """Unpickled, it runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def raw_message(path: str, **changes: Any) -> dict[str, Any]:
    """A message as kombu puts it on a list."""
    body = json.dumps([[path, "raw"], {}, {}]).encode()
    message: dict[str, Any] = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "release_worker.create_release", "id": str(uuid4()), "lang": "py"},
        "properties": {
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": "releases"},
            "body_encoding": "base64",
            "delivery_mode": 2,
            "priority": 0,
        },
    }
    for where, value in changes.items():
        part, _, name = where.partition("__")
        if name:
            message[part] = {**message[part], name: value}
        else:
            message[part] = value
    return message


# By field of a message: what no Celery would put there.
NONSENSE: Mapping[str, list[Any]] = {
    "body": [None, 7, [], "", "no base64"],
    "headers": [None, 7, [], "x", {}],
    "properties": [None, 7, [], {}],
    "content-type": [None, 7, "application/x-nonsense"],
    "content-encoding": ["no-such-encoding", "binary"],
    "headers__task": [None, 7, [], {}, "", "no.such.task", "os.system", "celery.chord_unlock"],
    "headers__id": [None, 7, [], {}, "", "a\x00b", "x" * 100_000],
    "headers__timelimit": [7, "x", [], ["a", "b"], [1], [-1, -1], {"a": 1}],
    "headers__eta": [7, "x", [], "9999-99-99T00:00:00", "0000"],
    "headers__expires": [7, "x", [], {}, "9999-99-99T00:00:00"],
    "headers__retries": ["x", -1, [], 1e400],
    "headers__shadow": [7, [], {}],
    "headers__release_worker_toolset": [7, "x", [], {}, str(uuid4())],
    "headers__compression": [7, "no-such-compression", "application/x-gzip"],
    "properties__delivery_tag": [None, 7, [], {}, ""],
    "properties__delivery_info": [None, 7, [], {}, {"exchange": 1}],
    "properties__body_encoding": [None, "rot13", 7, []],
    "properties__reply_to": [7, [], {}],
}
# What a message's body may decode to, or not.
BODIES = [
    b"null",
    b"[]",
    b"{}",
    b"[1,2,3,4]",
    b"[{},[],{}]",
    b"[[],{},[]]",
    b"\xff\xfe",
    b"[" * 100_000 + b"]" * 100_000,
]
NO_MESSAGES = [
    b"",
    b"garbage",
    b"\x00",
    b"{",
    b"null",
    b"7",
    b"[]",
    b"{}",
    b'"x"',
    b"9" * 5_000,
    b"NaN",
    b"\xff\xfe\x00",
]


def hostile_messages(path: str, file: Path) -> list[bytes]:
    """Bytes that are no message, messages that no Celery would send, and some that would make `file` if believed."""
    pickled = base64.b64encode(pickle.dumps(MakesAFile(file))).decode()
    yaml = base64.b64encode(f"!!python/object/apply:os.system ['touch {file}']".encode()).decode()
    changed = [raw_message(path, **{field: value}) for field, values in NONSENSE.items() for value in values]
    changed += [raw_message(path, body=base64.b64encode(body).decode()) for body in BODIES]
    changed += [
        {**raw_message(path, body=body), "content-type": content_type, "content-encoding": encoding}
        for body, content_type in ((pickled, "application/x-python-serialize"), (yaml, "application/x-yaml"))
        for encoding in ("binary", "utf-8")
    ]
    return [*NO_MESSAGES, *BODIES, *(json.dumps(message).encode() for message in changed)]


def test_whatever_lies_on_a_queue_the_worker_lives_imports_nothing_and_goes_on(
    served: Service, worker: PythonProcess, billing: Toolset, tmp_path: Path
) -> None:
    file = tmp_path / "made by a message"
    pickle.loads(pickle.dumps(MakesAFile(file)))
    file.unlink()  # it would have worked
    others = {row.id for row in ledger(served.engine)}  # which other tests may have left to wait
    hostile = hostile_messages(billing.path, file)
    with served.redis() as redis:
        for message in hostile:
            redis.lpush("releases", message)
        # Each of its children still works, and each slot is free.
        good = [send(served, "create_release", [billing.path, "after"], {}) for _ in range(8)]
        numbers = {answer(one)["release_number"] for one in good}
        assert eventually(lambda: redis.llen("releases") == 0, within=LONG)
        assert eventually(lambda: redis.hlen("unacked") == 0, within=LONG)
    assert worker.status is None
    assert "Restoring" not in worker.said()
    assert not file.exists()
    made_by_raw = [row for row in releases_of(served.engine, billing) if row.released_by == "raw"]
    # The raw messages that are sound run beside the good ones, so numbers of theirs may lie between.
    assert len(numbers) == len(good)
    assert numbers <= {row.release_number for row in releases_of(served.engine, billing)}
    assert len(made_by_raw) <= len(hostile)
    # A raw message may be lost when a busy toolset has it sent again; its request is in the ledger, for the sweeper.
    with served.client() as client:

        def all_ended_after_a_sweep() -> bool:
            client.sweep()
            asked = [row for row in ledger(served.engine) if row.id not in others]
            return all(row.status in ("succeeded", "failed") for row in asked)

        assert eventually(all_ended_after_a_sweep, within=LONG), [
            (row.id[:80], row.status, row.error, row.attempts) for row in ledger(served.engine)
        ]
