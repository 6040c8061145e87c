"""What `grants.sql` grants, read from the script itself, so that it stands in one place."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

_GRANT = re.compile(r"\bGRANT\s+(?P<what>.+?)\s+ON\s+(?P<tables>.+?)\s+TO\s+(?P<roles>.+)", re.DOTALL)
_NAME = re.compile(r'(?:"[^"]+"\.)?[\w.]+')
_PRIVILEGE = re.compile(r"(\w+)\s*(?:\(([^)]*)\))?")
# On what is no table; a role that lacks one of these is told so by PostgreSQL itself.
_NO_TABLES = ("FUNCTION", "SCHEMA", "SEQUENCE", "ALL", "TYPE")


@dataclass(frozen=True, slots=True, order=True)
class Privilege:
    """One of SELECT, INSERT, UPDATE and DELETE on a table; `column` is None if it is on all of it."""

    action: str
    table: str
    column: str | None = None


def granted(script: str) -> Mapping[str, frozenset[Privilege]]:
    """The privileges on tables that the script gives to each role."""
    found: dict[str, set[Privilege]] = defaultdict(set)
    for statement in _statements(script):
        grant = _GRANT.search(statement)
        if grant is None or grant["tables"].split()[0].upper() in _NO_TABLES:
            continue
        for role in _names(grant["roles"]):
            for table in _names(grant["tables"]):
                found[role] |= _on(table, grant["what"])
    return {role: frozenset(privileges) for role, privileges in found.items()}


def _statements(script: str) -> list[str]:
    without_blocks = re.sub(r"\$\$.*?\$\$", "", script, flags=re.DOTALL)
    return re.sub(r"--.*", "", without_blocks).split(";")


def _names(listed: str) -> list[str]:
    return [name.split(".")[-1] for name in _NAME.findall(listed) if name.upper() != "TABLE"]


def _on(table: str, what: str) -> set[Privilege]:
    found: set[Privilege] = set()
    for action, columns in _PRIVILEGE.findall(what):
        named = _names(columns)
        found |= {Privilege(action.upper(), table, column) for column in named}
        found |= set() if named else {Privilege(action.upper(), table)}
    return found
