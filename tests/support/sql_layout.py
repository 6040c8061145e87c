"""SQL laid out by one rule, however the code that made it was indented: the same statement is the same text."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

WIDTH = 118
STEP = "    "
_TOKEN = re.compile(r"""\s+|'(?:[^']|'')*'|"[^"]*"|[(),]|[^\s(),'"]+""")
_CLAUSES = {
    *("WITH", "SELECT", "FROM", "JOIN", "LEFT", "CROSS", "WHERE", "AND", "ORDER", "LIMIT", "UNION"),
    *("INSERT", "UPDATE", "SET", "RETURNING", "FOR"),
}


@dataclass
class Piece:
    """A word, a comma, or (`inner`) what stands in parentheses; `spaced` if there is a space before it."""

    text: str
    spaced: bool
    inner: "list[Piece] | None" = None

    @property
    def flat(self) -> str:
        return self.text if self.inner is None else f"({_flat(self.inner)})"


def laid_out(statement: str) -> str:
    """A clause a line; if it is too long, an item of its list a line; if that is, what is in its parentheses alike."""
    return "\n".join(_lines(_pieces(statement), "")) + "\n"


def _pieces(statement: str) -> list[Piece]:
    whole: list[Piece] = []
    open_groups, spaced = [whole], False
    for token in _TOKEN.findall(statement):
        if token.isspace():
            spaced = True
            continue
        here = open_groups[-1]
        if token == ")":
            open_groups.pop()
        else:
            after_comma = bool(here) and here[-1].text == ","
            group: list[Piece] | None = [] if token == "(" else None
            here.append(Piece(token, (spaced or after_comma) and token != "," and bool(here), group))
            if group is not None:
                open_groups.append(group)
        spaced = False
    return whole


def _flat(pieces: Sequence[Piece]) -> str:
    return "".join(" " * piece.spaced + piece.flat for piece in pieces).lstrip()


def _lines(pieces: Sequence[Piece], indent: str) -> Iterator[str]:
    for clause in _parts(pieces, _starts_clause):
        margin = f"{indent}  " if clause[0].text == "AND" else indent
        if len(margin + _flat(clause)) <= WIDTH:
            yield margin + _flat(clause)
            continue
        first, *others = _parts(clause, _starts_item)
        yield from _broken(first, margin)
        deeper = STEP if clause[0].text in _CLAUSES - {"WITH"} else ""
        for item in others:
            yield from _broken(item, margin + deeper)


def _broken(item: Sequence[Piece], indent: str) -> Iterator[str]:
    """An item in a line, but for parentheses with which it would be too long."""
    line = indent
    for place, piece in enumerate(item):
        line += " " * (piece.spaced and place > 0)
        rest = _flat(item[place:])
        if piece.inner is None or len(line + rest) <= WIDTH:
            line += piece.flat
            continue
        yield f"{line}("
        yield from _lines(piece.inner, indent + STEP)
        line = f"{indent})"
    yield line


def _parts(pieces: Sequence[Piece], starts: Callable[[Sequence[Piece], Piece], bool]) -> Iterator[Sequence[Piece]]:
    begin = 0
    for place in range(1, len(pieces)):
        if starts(pieces[begin:place], pieces[place]):
            yield pieces[begin:place]
            begin = place
    if pieces:
        yield pieces[begin:]


def _starts_clause(before: Sequence[Piece], piece: Piece) -> bool:
    within = {("DISTINCT", "FROM"), ("LEFT", "JOIN"), ("CROSS", "JOIN")}
    return piece.text in _CLAUSES and (before[-1].text, piece.text) not in within


def _starts_item(before: Sequence[Piece], _piece: Piece) -> bool:
    """What follows a comma, but for the value of a key: `'name', name`."""
    is_key = len(before) == 2 and before[0].text.startswith("'")
    return before[-1].text == "," and not is_key
