"""The command line without servers: usage, help, start-up, and how things are put into words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer

from release_worker import errors
from release_worker.cli.changes import change_lines
from release_worker.cli.failures import report
from release_worker.cli.main import app, run
from release_worker.cli.options import parsed_labels
from release_worker.cli.render import one_line, several_lines
from release_worker.domain.changes import ComponentChanges


def _commands(group: typer.Typer, *words: str) -> Iterator[list[str]]:
    """Every command that there is, and where it stands."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield [*words, command.name or command.callback.__name__.replace("_", "-")]
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(inner.typer_instance, *words, str(inner.name))


COMMANDS = tuple(_commands(app))
WITHOUT_JSON = (["dev"], ["db", "grants"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_fits_80_columns(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: release-worker {' '.join(command)} ")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert ("--json" in out) == (command not in WITHOUT_JSON)
    assert f"Example: release-worker {' '.join(command)}" in " ".join(out.split())


def test_the_help_tells_a_newcomer_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "organization/project/toolset",
        "`release-worker demo`",
        "`release-worker dev`",
        "neither needs a server",
        "RELEASE_WORKER_DATABASE_URL",
        "RELEASE_WORKER_BROKER_URL",
        "Exit status: 0 done, 1 failed, 2 wrong usage, 3 something differs, 4 accepted",
    ):
        assert text in shown
    assert "..." not in shown.partition("Commands:")[2]  # no summary is cut short


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["release"],
        ["release", "not-a-toolset"],
        ["release", "a/b/c", "--project", "a/b"],
        ["release", "--project", "a/b", "--expected-current-release", "3"],
        ["release", "a/b/c", "--nonsense"],
        ["release", "a/b/c", "--label", "no-value"],
        ["release", "a/b/c", "--label", "k=1", "--label", "k=2"],
        ["release", "a/b/c", "--timeout", "soon"],
        ["list", "a/b"],
        ["list", "a/b/c", "--limit", "0"],
        ["show", "a/b/c", "one"],
        ["show", "a/b/c", "0"],
        ["list", "a/b/c", "--label", "=value"],
        ["list", "a/b/c", "--since", "yesterday"],
        ["list", "a/b/c", "--kind", "nonsense"],
        ["diff", "a/b/c"],
        ["diff", "a/b/c", "1", "dead"],
        ["diff", "a/b/c", "1", "0"],
        ["drift"],
        ["verify"],
        ["verify", "a/b/c", "--all"],
        ["status"],
        ["log", "a/b/c", "--before", "0"],
        ["rollback", "a/b/c", "-1"],
        ["rollback", "a/b/c", "1", "--on-missing", "explode"],
        ["requests"],
        ["requests", "list", "--status", "lost"],
        ["requests", "cancel"],
        ["db"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help)" in err
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["type"] == "WrongUsage"


def test_help_is_quick_for_nothing_heavy_is_imported() -> None:
    program = """
import sys
from release_worker.cli.main import app, run
run(["rollback", "--help"])
print(sorted({"sqlalchemy", "celery", "redis", "psycopg", "alembic", "pydantic_settings"} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_defect_is_one_line_and_its_traceback_is_kept(tmp_path: Path) -> None:
    program = """
import sys
from release_worker.cli import main, options
main.run = lambda arguments: {}["missing"]
main.main()
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    [kept] = tmp_path.iterdir()
    assert ended.returncode == 1
    assert ended.stderr == f"error: unexpected KeyError: 'missing' (a defect; the traceback is in {kept})\n"
    assert kept.read_text().startswith("Traceback")


def test_labels_are_keys_and_values() -> None:
    assert parsed_labels(None) is None
    assert parsed_labels(["build=991", "url=a=b", "empty="]) == {"build": "991", "url": "a=b", "empty": ""}
    with pytest.raises(typer.BadParameter):
        parsed_labels(["=value"])


def test_text_from_elsewhere_stays_on_its_line_and_cannot_steer_the_terminal() -> None:
    assert one_line("a\nb\t c") == "a b c"
    assert one_line("\x1b[31mred") == r"\x1b[31mred"
    assert one_line("x" * 300, 10) == "x" * 9 + "…"
    assert several_lines("one\n\x1b[2Jtwo\r\nthree") == "one\n\\x1b[2Jtwo\nthree"


def lines(limit: int | None = 10, width: int = 100, **changes: Any) -> list[str]:
    return list(change_lines({"tools": ComponentChanges(**changes)}, limit=limit, width=width))


def test_changes_are_counted_and_listed_by_sign() -> None:
    assert lines(added=("b",), removed=("a", "c")) == ["tools: 2 removed, 1 added", "  - a", "  - c", "  + b"]


def test_many_changes_are_cut_short_unless_all_are_asked_for() -> None:
    many = tuple(f"urn-{number}" for number in range(1200))
    assert lines(added=many)[-1] == "  + … and 1,190 more"
    assert len(lines(added=many, limit=None)) == 1201


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"key": "k", "old": 1, "new": True}, ["1 → true"]),
        ({"key": "k", "old": Decimal("0.1"), "new": 12345678901234567890}, ["0.1 → 12345678901234567890"]),
        ({"key": "k", "fields": {"position": {"old": 1, "new": 2}}}, ["position: 1 → 2"]),
        (
            {"key": "k", "fields": {"limit": {"new": None}, "size": {"old": ""}}},
            ["limit: (none) → null", 'size: "" → (none)'],
        ),
        (
            {"key": "k", "fields": {"definition": {"old": {"a": [1, {"b": 2}]}, "new": {"a": [1, {"b": 3}]}}}},
            ["definition.a[1].b: 2 → 3"],
        ),
        ({"key": "k", "old": [1], "new": [1, 2]}, ["[1] → [1, 2]"]),
    ],
)
def test_a_change_shows_the_innermost_values_that_differ(item: dict[str, Any], shown: list[str]) -> None:
    assert lines(changed=(item,)) == ["tools: 1 changed", "  ~ k", *(f"      {line}" for line in shown)]


def test_long_values_are_shown_where_they_differ() -> None:
    text = "a long prompt that goes on and on and on, as prompts do, before it comes to the point: "
    [*_, line] = lines(changed=({"key": "k", "old": f"{text}be brief", "new": f"{text}be thorough"},), width=80)
    assert len(line) <= 80
    assert 'be brief" → …' in line
    assert line.endswith('be thorough"')


def test_an_error_lists_what_helps_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    urns = [f"tools:function:billing:{number}" for number in range(30)]
    missing = errors.MissingDependencies("nothing would provide " + ", ".join(urns), tools=urns, resources=[])

    assert report(missing, as_json=False) == 1
    written = capsys.readouterr().err.splitlines()
    assert written[0] == "error: nothing would provide some of what the release served"
    assert written[1] == f"  {urns[0]}"
    assert written[11] == "  … and 20 more"
    assert len(written) == 13

    assert report(missing, as_json=True) == 1
    assert json.loads(capsys.readouterr().err)["details"]["tools"] == urns


@pytest.mark.parametrize("group", sorted(str(group.name) for group in app.registered_groups))
def test_a_group_without_a_command_says_so_and_where_its_help_is(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([group]) == 2
    assert capsys.readouterr().err == f"error: Missing command (see: release-worker {group} --help)\n"


def test_an_invalid_request_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(errors.InvalidRequest("the request is not valid: notes: too long", problems=[]), as_json=False) == 2
    assert capsys.readouterr().err == "error: the request is not valid: notes: too long\n"


@pytest.mark.parametrize(
    ("sqlstate", "advice"),
    [
        ("42501", "release-worker db grants"),
        ("42P01", "release-worker db upgrade"),
        ("42703", "release-worker db upgrade"),
        ("3D000", "createdb"),
        ("57P03", "Does PostgreSQL run"),
        (None, "Does PostgreSQL run"),
    ],
)
def test_what_to_do_about_a_database_depends_on_what_it_says(
    sqlstate: str | None, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report(errors.DatabaseUnavailable(reason="no", sqlstate=sqlstate), as_json=False)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert advice in said[1]
