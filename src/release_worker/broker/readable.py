"""What people read of a request and of its end, in Flower and wherever else Celery shows a task: one line each.

A line has what its reader looks for first, because Flower's list shows some forty characters of it, and a bounded
length. Of values that a caller is free to nest, such as
labels, it has the keys alone; of fields that no request has, the names: so no line can have a secret in it that
somebody put under a key.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from release_worker.domain.requests.kinds import KINDS
from release_worker.domain.text import printable
from release_worker.errors import ReleaseWorkerError

LONGEST = 1000  # characters of a line, as much as Celery would show
_LONGEST_VALUE = 160
_MOST_ITEMS = 20

_FIRST = ("release_number", "to", "plan_id", "mark", "mode", "actor", "reason", "notes")
_BULKY = frozenset({"bundle"})
_PLAIN = re.compile(r"[\w./:@+-]+")
_SIGNS = (("added", "+"), ("removed", "-"), ("changed", "~"))
_NUMBERS = (
    "release_number",
    "to_release_number",
    "from_release_number",
    "current_release_number",
    "backup_release_number",
)
_SHORT_DIGEST = 12


def arguments_line(task: str, positional: object, keywords: object, path: object = None) -> str:
    """What a task is called with, `acme/payments/billing, release_number=41, actor=oncall`: the toolset and the numbers
    first, and nothing that has its default. `path` is that of a toolset that was named by its id, if it is known. Never
    raises, whatever was sent."""
    model = KINDS.get(task.removeprefix("release_worker."))
    arguments = _named(() if model is None else model.positional, positional, keywords)
    fields = {} if model is None else model.model_fields
    first = [_toolset(arguments, path)] if model is not None and "toolset" in arguments else []
    others = (
        f"{printable(name, _LONGEST_VALUE)}={_shown(value) if name in fields and name not in _BULKY else '…'}"
        for name, value in sorted(arguments.items(), key=_place)
        if name not in fields or (name != "toolset" and value not in (None, fields[name].default))
    )
    return _joined([*first, *others])


def toolset_line(kind: str, positional: object, keywords: object, path: object = None) -> str:
    """How a request names its toolset: `acme/payments/billing`, or its id, after its path if that is known."""
    return _toolset(_named(KINDS[kind].positional, positional, keywords), path)


def result_line(kind: str, toolset: str, result: Mapping[str, Any]) -> str:
    """What a request came to, `release_number=4, acme/payments/billing, create_release, created=true, …`: numbers of
    releases first, ids and digests last; of nested values how many there are."""
    told = {name: value for name, value in result.items() if value is not None and value not in ([], (), {})}
    names = sorted(told, key=_place_in_result)
    numbers = [name for name in names if name in _NUMBERS]
    return _joined(
        [
            *(f"{name}={_shown(told[name])}" for name in numbers),
            toolset,
            kind,
            *(f"{name}={_SPECIAL.get(name, _shown)(told[name])}" for name in names if name not in numbers),
        ]
    )


def error_line(error: ReleaseWorkerError) -> str:
    """`StaleState: expected release 3 to be current, but it is 4`."""
    return printable(f"{type(error).__name__}: {error}", LONGEST)


def _named(names: Sequence[str], positional: object, keywords: object) -> dict[str, Any]:
    """All arguments by name. Those that are too many are not shown: the request is refused."""
    values = positional if isinstance(positional, (list, tuple)) else ()
    by_name = keywords if isinstance(keywords, Mapping) else {}
    return {**dict(zip(names, values, strict=False)), **{str(name): value for name, value in by_name.items()}}


def _place(argument: tuple[str, Any]) -> tuple[int, str]:
    name = argument[0]
    return (_FIRST.index(name), "") if name in _FIRST else (len(_FIRST), name)


def _place_in_result(name: str) -> tuple[int, int, str]:
    if name in _NUMBERS:
        return 0, _NUMBERS.index(name), ""
    return 1, int(name == "digest" or name.endswith("_id")), name


def _joined(parts: Iterable[str]) -> str:
    line = ", ".join(parts)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _toolset(arguments: Mapping[str, Any], path: object) -> str:
    named = _shown(arguments.get("toolset"))
    return f"{_shown(path)} ({named})" if isinstance(path, str) and _shown(path) != named else named


def _shown(value: object) -> str:
    match value:
        case str():
            cut = value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
            return cut if _PLAIN.fullmatch(cut) else printable(json.dumps(cut, ensure_ascii=False), 2 * _LONGEST_VALUE)
        case bool() | None:
            return json.dumps(value)
        case Mapping():
            return f"{{{_listed(sorted(str(name) for name in value))}}}"
        case list() | tuple():
            scalars = all(isinstance(item, (str, int)) for item in value)
            return f"[{_listed(value)}]" if scalars else f"[{len(value)}]"
        case _:
            return printable(str(value), _LONGEST_VALUE)


def _listed(items: Sequence[Any]) -> str:
    more = [f"… {len(items) - _MOST_ITEMS} more"] if len(items) > _MOST_ITEMS else []
    return ", ".join([*(_shown(item) for item in items[:_MOST_ITEMS]), *more])


def _changes(changes: Any) -> str:
    """`{tools: +2 -1, settings: ~1}`."""
    return f"{{{', '.join(f'{name}: {_counted(changed)}' for name, changed in changes.items() if changed)}}}"


def _counted(changed: Any) -> str:
    omitted = changed.get("omitted") or {}
    counts = ((sign, len(changed.get(sort) or ()) + omitted.get(sort, 0)) for sort, sign in _SIGNS)
    return " ".join(f"{sign}{count}" for sign, count in counts if count)


def _refusal(refused: Any) -> str:
    return _shown(f"{refused.get('type')}: {refused.get('message')}")


def _short(digest: Any) -> str:
    return _shown(digest[:_SHORT_DIGEST])


_SPECIAL: Mapping[str, Callable[[Any], str]] = {"changes": _changes, "refused": _refusal, "digest": _short}
