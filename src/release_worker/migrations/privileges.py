"""What `grants.sql` grants, read from the script itself, so that it stands in one place."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_GRANT = re.compile(r"\bGRANT\s+(?P<what>.+?)\s+ON\s+(?P<on>.+?)\s+TO\s+(?P<roles>.+)", re.DOTALL)
_NAME = re.compile(r'(?:"[^"]+"\.)?[\w.]+')
_PRIVILEGE = re.compile(r"(\w+)\s*(?:\(([^)]*)\))?")
_SIGNATURE = re.compile(r"(\w+)\(([^)]*)\)")
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
    for grant in _grants(script):
        if _kind(grant) in _NO_TABLES:
            continue
        for role in _names(grant["roles"]):
            for table in _names(grant["on"]):
                found[role] |= _on(table, grant["what"])
    return {role: frozenset(privileges) for role, privileges in found.items()}


def executable(script: str) -> Mapping[str, frozenset[str]]:
    """The functions that the script lets each role call, such as `release_worker_is_open(uuid)`."""
    found: dict[str, set[str]] = defaultdict(set)
    for grant in _grants(script):
        if _kind(grant) == "FUNCTION":
            for role in _names(grant["roles"]):
                found[role] |= {f"{name}({' '.join(types.split())})" for name, types in _SIGNATURE.findall(grant["on"])}
    return {role: frozenset(signatures) for role, signatures in found.items()}


def _grants(script: str) -> Iterator[re.Match[str]]:
    without_blocks = re.sub(r"\$\$.*?\$\$", "", script, flags=re.DOTALL)
    for statement in re.sub(r"--.*", "", without_blocks).split(";"):
        if (grant := _GRANT.search(statement)) is not None:
            yield grant


def _kind(grant: re.Match[str]) -> str:
    return str(grant["on"]).split()[0].upper()


def _names(listed: str) -> list[str]:
    return [name.split(".")[-1] for name in _NAME.findall(listed) if name.upper() != "TABLE"]


def _on(table: str, what: str) -> set[Privilege]:
    found: set[Privilege] = set()
    for action, columns in _PRIVILEGE.findall(what):
        named = _names(columns)
        found |= {Privilege(action.upper(), table, column) for column in named}
        found |= set() if named else {Privilege(action.upper(), table)}
    return found
