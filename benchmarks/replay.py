"""The recorded operation as a pgbench script that can be repeated: a new release of a random toolset each time.

What the worker had read from an earlier statement is read again by the script (`\\gset`); digests are new each time, as
if the apps had changed everything, so that every part is written anew; what stayed the same is written out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from benchmarks.recording import Recording, Statement, Transaction
from benchmarks.world import ORGANIZATION, path

_PLACE = re.compile(r"%(?:\((?P<name>\w+)\)|(?=[sbt]))(?P<format>[sbt])|%%")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SET_LOCAL = re.compile(r"SET LOCAL (\w+) = ('[^']*')")
_VARIABLE = re.compile(r"(?<!:):\w")  # what pgbench would take for one of its own, in literals as well
_QUOTED = re.compile(r"(?P<escaped>E?)'(?P<body>(?:[^']|'')*)'")
# The digest of a document that no release has held.
NEW_DIGEST = """
    CREATE FUNCTION benchmark_new_digest(salt bigint, document jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT left(release_worker_digest(document), 48) || lpad(to_hex(salt), 16, '0')
    $$
"""
LEDGER_ROW = "INSERT INTO public.release_requests"
ACCEPTED = "public.release_worker_accept("


@dataclass(frozen=True, slots=True)
class Known:
    """A value that an earlier statement of the script has in a variable."""

    column: str
    value: Any
    variable: str


class Script:
    """Puts one transaction together, statement by statement."""

    def __init__(self, recording: Recording, toolsets: int) -> None:
        self._recording = recording
        self._toolsets = toolsets
        self._known: list[Known] = []
        self._used: set[int] = set()

    def text(self) -> str:
        """The whole script."""
        operation = self._recording.operation
        begin, *statements = operation.statements
        bodies = [self._statement(place, one) for place, one in enumerate(statements)]
        lines = [
            # Each connection has toolsets of its own: the product's locks let nobody try in vain either.
            f"\\set toolset random(1, {self._toolsets} / :connections) * :connections - :client_id",
            "\\set request random(1, 9000000000000000000)",
            *_beginning(begin.sql),
            *([] if _writes_ledger_row(operation) else [self._ledger_row(operation)]),
        ]
        for place, body in enumerate(bodies):
            lines.append(f"{body} \\gset s{place}_" if place in self._used else f"{body};")
        return "\n".join([*lines, "COMMIT;", ""])

    def _statement(self, place: int, statement: Statement) -> str:
        body = _with_places(statement.sql.strip().rstrip(";"), self._places(statement))
        body = body.replace("release_worker_digest(", "benchmark_new_digest(:request, ")
        if len(statement.rows) == 1:
            columns = zip(statement.columns, statement.rows[0], strict=True)
            self._known += [Known(column, value, f"s{place}_{column}") for column, value in columns]
        return body

    def _places(self, statement: Statement) -> Iterator[str]:
        """What to write for each place, in the order of the places."""
        given = statement.parameters
        positional = iter(() if isinstance(given, Mapping) else given)
        for match in _PLACE.finditer(statement.sql):
            if match[0] == "%%":
                yield "%"
            elif isinstance(given, Mapping):
                yield self._value(match["name"], given[match["name"]])
            else:
                yield self._value("", next(positional))

    def _value(self, name: str, value: Any) -> str:
        number = str(self._recording.toolset)
        if value == self._recording.request_id:
            return ":request"
        if value == number:
            return ":toolset"
        if value == self._recording.toolset_id and self._read_before(name, value) is None:
            return "(SELECT id FROM toolsets WHERE slug = :toolset)"
        if value == path(self._recording.toolset):
            return f"('{ORGANIZATION}/' || :toolset || '/' || :toolset)"
        if (known := self._read_before(name, value)) is not None:
            return known
        if isinstance(value, str) and _DIGEST.fullmatch(value):
            return f"encode(sha256(('{value[:8]}' || :request)::bytea), 'hex')"
        return _literal(value)

    def _read_before(self, name: str, value: Any) -> str | None:
        """The variable that holds what an earlier statement returned, where that is what this value is."""
        if isinstance(value, UUID) or (isinstance(value, str) and _DIGEST.fullmatch(value)):
            found = next((known for known in self._known if known.value == value), None)
            return None if found is None else self._use(found)
        if isinstance(value, int) and not isinstance(value, bool):
            for known in reversed(self._known):
                if known.column == name and known.value == value:
                    return self._use(known)
                if known.column == name and known.value == value - 1:
                    return f"({self._use(known)}::bigint + 1)"
        return None

    def _use(self, known: Known) -> str:
        self._used.add(int(known.variable[1:].partition("_")[0]))
        return f":{known.variable}"

    def _ledger_row(self, operation: Transaction) -> str:
        """The request, as it lay in the ledger when the operation began."""
        ledger = operation.ledger or {"kind": "create_release", "payload": "{}", "status": "queued", "attempts": 0}
        kind, payload, status = (_literal(ledger[field]) for field in ("kind", "payload", "status"))
        return (
            f"{LEDGER_ROW} (id, kind, toolset_id, payload, requested_by, status, attempts, lease_until) "
            f"SELECT :request, {kind}, id, {payload}::jsonb, 'benchmark', {status}, {ledger['attempts']}, "
            "now() + interval '15 s' FROM toolsets WHERE slug = :toolset;"
        )


def _writes_ledger_row(operation: Transaction) -> bool:
    return any(LEDGER_ROW in one.sql or ACCEPTED in one.sql for one in operation.statements)


def _with_places(statement: str, values: Iterator[str]) -> str:
    """Raises ValueError for SQL that pgbench would misread."""
    if _VARIABLE.search(statement):
        raise ValueError(f"pgbench would take a part of this statement for a variable: {statement}")
    return _PLACE.sub(lambda _: next(values), statement)


def _beginning(sent: str) -> list[str]:
    """`BEGIN …; SET LOCAL …` travel together; pgbench prepares single commands, and has a pipeline for that."""
    begin, *settings = (command.strip() for command in sent.split(";"))
    if not begin.startswith("BEGIN "):
        raise ValueError(f"the operation's transaction does not begin with BEGIN: {sent}")
    parts = [_SET_LOCAL.fullmatch(command) for command in settings]
    calls = ", ".join(f"set_config('{part[1]}', {part[2]}, true)" for part in parts if part)
    return ["\\startpipeline", f"{begin};", f"SELECT {calls};", "\\endpipeline"]


def _literal(value: Any) -> str:
    """SQL of a value that is always the same; a colon in it is not left for pgbench to see."""
    return _QUOTED.sub(_without_colons, sql.Literal(value).as_string(None).strip())


def _without_colons(quoted: re.Match[str]) -> str:
    body = quoted["body"] if quoted["escaped"] else quoted["body"].replace("\\", "\\\\")
    return "E'" + body.replace(":", "\\x3a") + "'"
