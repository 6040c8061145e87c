"""Values that are never shown: those under keys that look like the names of secrets.

What is shown instead says whether they differ. The values themselves are captured, compared and restored as all others
are; only what is told of them is hidden, here, before anything is stored, sent or printed.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any

from release_worker.domain import canonical_json

Json = Any

# In place of a secret value. A pair of HIDDEN, old and new, says that the value has changed.
HIDDEN = "•••"
# In place of a secret value that is the same on both sides of a difference around it.
HIDDEN_SAME = "••• (same)"

# Rather too many than too few: `max_tokens` and `idempotency_key` are hidden too.
DEFAULT_PATTERNS = (
    "*key*",
    "*secret*",
    "*token*",
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*credential*",
    "*authorization*",
    "*cookie*",
    "*bearer*",
    "*dsn*",
    "*connection_string*",
)


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """Patterns of keys, as in a shell (`*`, `?`, `[…]`); upper and lower case are the same."""

    patterns: tuple[str, ...] = DEFAULT_PATTERNS

    @classmethod
    def parse(cls, text: str) -> "SecretKeys":
        """Those that are listed in `text`, separated by commas. None are secret if the text names none."""
        return cls(tuple(pattern for part in text.split(",") if (pattern := part.strip())))

    def __contains__(self, key: str) -> bool:
        return _matcher(self.patterns)(key)


DEFAULT_SECRET_KEYS = SecretKeys()


def hide(old: Json, new: Json, secrets: SecretKeys) -> tuple[Json, Json]:
    """Both values with every secret in them hidden, however deep. Neither is changed."""
    boxes: tuple[list[Json], list[Json]] = ([old], [new])
    # Copies, of which what is inside is still to be copied or hidden.
    waiting: list[tuple[Json, Json]] = [boxes]
    while waiting:
        sides = waiting.pop()
        for place in dict.fromkeys(place for side in sides for place in _places(side)):
            having = [side for side in sides if _has(side, place)]
            if isinstance(place, str) and place in secrets:
                shown = hidden([side[place] for side in having])
                inner: list[Json] = [shown for _ in having]
            else:
                inner = [_copied(side[place]) for side in having]
                if any(isinstance(value, (dict, list)) for value in inner):
                    waiting.append((inner[0], inner[-1] if len(inner) > 1 else None))
            for side, value in zip(having, inner, strict=True):
                side[place] = value
    return boxes[0][0], boxes[1][0]


def hidden(sides: Iterable[Json]) -> str:
    """What is shown in place of a secret that has these values, or this one if the other side lacks it."""
    texts = [canonical_json.dumps(value) for value in sides]
    return HIDDEN_SAME if len(texts) > 1 and len(set(texts)) == 1 else HIDDEN


def _places(value: Json) -> Iterator[Hashable]:
    match value:
        case dict():
            yield from value
        case list():
            yield from range(len(value))


def _has(value: Json, place: Hashable) -> bool:
    match value:
        case dict():
            return place in value
        case list():
            return isinstance(place, int) and place < len(value)
        case _:
            return False


def _copied(value: Json) -> Json:
    match value:
        case dict():
            return dict(value)
        case list() | tuple():
            return list(value)
        case _:
            return value


@lru_cache(maxsize=32)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if not patterns:
        return lambda _key: False
    whole = re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE)
    return lru_cache(maxsize=4096)(lambda key: whole.match(key) is not None)
