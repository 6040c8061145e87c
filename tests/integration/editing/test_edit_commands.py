"""`toolset edit`, `project edit` and `organization edit`, as scripts use them."""

import gzip
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from release_worker.demo.catalogue import read_catalogue
from tests.support.billing import INVOICE, REFUND, SUMMARY, a_full_toolset
from tests.support.command_line import CommandLine
from tests.support.freezes import freeze
from tests.support.ledger import ask, mailbox
from tests.support.live_state import live_state
from tests.support.openapi import PETSTORE, petstore
from tests.support.operations import release, roll_back
from tests.support.world import Toolset

BILLING = "acme/payments/billing"


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def test_an_edit_says_what_has_changed_and_how_to_keep_it(run: CommandLine, engine: Engine, billing: Toolset) -> None:
    done = run("toolset", "edit", BILLING, "--add-tool", "tools:x", "--set-config", 'limits={"a": 0.10}')
    assert done.status == 0
    assert done.out.startswith(f"{BILLING} is edited.\nsystem: 1 changed\n  ~ config/limits\n")
    assert "tools: 1 added\n  + tools:x\n" in done.out
    keep, undo = done.out.splitlines()[-2:]
    assert keep.startswith("Keep it: ")
    assert keep.endswith(f"release {BILLING}")
    assert undo == "There is no release of it yet: nothing leads back to what was before."
    assert done.err == "warning: nothing provides tools:x, which the toolset lists\n"
    again = run("toolset", "edit", BILLING, "--add-tool", "tools:x")
    assert (again.status, again.out) == (0, f"{BILLING} is as it was to be.\n")
    assert live_state(engine, billing)["tools"]["tools:x"] == 3


def test_an_edit_says_what_undoes_it(run: CommandLine, engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    own = run("toolset", "edit", BILLING, "--name", "x").out.splitlines()[-1]
    assert own.startswith("Undo it (all goes back to release 1): ")
    assert own.endswith(f"repair {BILLING} --reason WHY")
    billing.project.toolset("reports", tools=[INVOICE])
    shared = run("toolset", "edit", BILLING, "--set-global-variation", f"{INVOICE}=7").out.splitlines()[-1]
    assert shared.endswith(f"repair {BILLING} --reason WHY --allow-shared-impact")
    before = live_state(engine, billing)
    answer = mailbox(engine).work_until_done(ask(engine, billing, "repair", allow_shared_impact=True))
    assert answer.status == "succeeded"
    assert live_state(engine, billing) != before
    assert live_state(engine, billing)["settings"]["name"] != "x"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["organization", "edit", "acme", "--name", "Z"], "acme is edited.\nname: Acme → Z\n"),
        (["organization", "edit", "acme", "--slug", "ajax"], "ajax is edited.\nslug: acme → ajax\n"),
        (["project", "edit", "acme/payments", "--name", "Pay"], "acme/payments is edited.\nname: Payments → Pay\n"),
        (
            ["project", "edit", "acme/payments", "--slug", "pay", "--name", "Payments"],
            "acme/pay is edited.\nslug: payments → pay\n",
        ),
        (
            ["toolset", "edit", BILLING, "--slug", "other2"],
            "acme/payments/other2 is edited.\nslug: billing → other2\n",
        ),
    ],
)
def test_a_new_name_is_told_beside_the_former(run: CommandLine, billing: Toolset, words: list[str], told: str) -> None:
    assert billing.path == BILLING
    done = run(*words)
    assert (done.status, done.out) == (0, told)
    words[2] = told.split(" ", 1)[0]
    assert run(*words).out == f"{words[2]} is as it was to be.\n"


def test_every_option_does_what_it_says(run: CommandLine, engine: Engine, billing: Toolset, tmp_path: Path) -> None:
    def file(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    document = run(
        *("toolset", "edit", BILLING, "--slug", "bills", "--name", "Bills", "--description", ""),
        *("--set-setting", "timeout=31", "--remove-setting", "tags"),
        *("--remove-tool", REFUND, "--order-file", file("order", f"{SUMMARY}\n\n{INVOICE}\n")),
        *("--add-resource", "resources:x", "--remove-resource", "resources:function:billing:tariff"),
        *("--resource-order-file", file("resources", "resources:x")),
        *("--set-prompt", f"greeting=@{file('prompt', 'Good day=yes')}", "--remove-prompt", "summary"),
        *("--prompts", file("prompts", '{"farewell": {"prompt": "Bye", "engine": "jinja"}}')),
        *("--set-config", "model=@" + file("model", '{"n": 1}'), "--remove-config", "limits"),
        *("--set-variation", f'{INVOICE}={{"name": "b"}}', "--remove-variation", REFUND),
        *("--set-global-variation", f"{REFUND}=[1]", "--remove-global-variation", INVOICE, "--json"),
    ).document
    assert (document["path"], document["id"], document["scope"]) == ("acme/payments/bills", str(billing.id), "toolset")
    assert set(document["changes"]) == {
        *("tools", "resources", "settings", "system", "global_variations", "toolset_variations"),
    }
    state = live_state(engine, billing)
    assert state["tools"] == {SUMMARY: 0, INVOICE: 1}
    assert state["resources"] == {"resources:x": 0, "resources:function:billing:ledger": 1}
    assert state["settings"] == {"name": "Bills", "description": None, "settings": '{"timeout": 31}'}
    prompts = state["system"]["prompts"]
    assert {name: one["prompt"] for name, one in prompts.items()} == {"greeting": "Good day=yes", "farewell": "Bye"}
    assert state["system"]["config"] == {"model": '{"n": 1}'}
    assert (state["toolset_variations"], state["global_variations"]) == ({INVOICE: '{"name": "b"}'}, {REFUND: "[1]"})


def test_a_project_and_an_organization_are_edited(run: CommandLine, engine: Engine, billing: Toolset) -> None:
    assert run("project", "edit", "acme/payments", "--name", "Pay", "--set-config", "k=null").status == 0
    assert run("organization", "edit", "acme", "--slug", "ajax", "--set-variation", f"{INVOICE}=1").status == 0
    state = live_state(engine, billing)
    assert (state["system"]["config"]["k"], state["global_variations"]) == ("null", {INVOICE: "1"})
    assert run("project", "show", "ajax/payments", "--json").document["name"] == "Pay"


def test_a_real_catalogue_is_deployed_and_listed(run: CommandLine, tmp_path: Path) -> None:
    for words in (("organization", "add", "demo"), ("project", "add", "demo/gh"), ("toolset", "add", "demo/gh/rest")):
        run(*words)
    for version in ("3.17", "3.19"):
        (tmp_path / version).write_bytes(gzip.compress(read_catalogue(version).text.encode()))
    urns = list(read_catalogue("3.17").tools)
    adding = [word for urn in urns for word in ("--add-tool", urn)]

    done = run("toolset", "edit", "demo/gh/rest", "--deploy", str(tmp_path / "3.17"), *adding, "--json").document

    assert (len(done["changes"]["tools"]["added"]), done["warnings"]) == (966, [])
    changed = run("toolset", "edit", "demo/gh/rest", "--deploy", str(tmp_path / "3.19"), "--json").document["changes"]
    assert (len(changed["deployment"]["added"]), len(changed["deployment"]["changed"])) == (73, 13)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing is to be edited"),
        (["--set-config", "k"], "is not of the form KEY=VALUE"),
        (["--set-config", "k=text"], "the value of 'k' is not JSON"),
        (["--set-config", "k=" + "[" * 100_000], "the value of 'k' is not JSON"),
        (["--set-config", "k=@/nowhere"], "/nowhere cannot be read: No such file"),
        (["--set-config", "k=NaN"], "is not JSON"),
        (["--set-config", "k=1", "--set-config", "k=2"], "'k' is given twice"),
        (["--deploy", "/nowhere"], "cannot be read"),
        (["--deploy", "{broken}"], "is not JSON"),
        (["--deploy", "{deep}"], "nested too deeply"),
        (["--deploy", "{packed}"], "cannot be read: it is no whole gzip file"),
        (["--deploy", "{large}"], "has more than 33,554,432 bytes"),
        (["--deploy", "{number}"], "deploy"),
        (["--prompts", "{number}"], "is no JSON object"),
        (["--order-file", "{binary}"], "it is not UTF-8"),
        (["--slug", "a b"], "slug"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: CommandLine, engine: Engine, billing: Toolset, tmp_path: Path, arguments: list[str], told: str
) -> None:
    files = {
        "broken": b'[{"urn": ',
        "deep": b"[" * 100_000,
        "packed": gzip.compress(b"[]")[:12],
        "large": gzip.compress(b" " * (33 * 1_048_576)),
        "number": b"1",
        "binary": b"\xff\xfe",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    words = [str(tmp_path / word[1:-1]) if word[1:-1] in files and word[0] == "{" else word for word in arguments]
    before = live_state(engine, billing)

    ended = run("toolset", "edit", BILLING, *words)

    assert (ended.status, ended.err.count("\n")) == (2, 1), ended.err
    assert told in ended.err
    assert live_state(engine, billing) == before


def test_a_refusal_is_told_with_its_status_and_in_json(run: CommandLine, billing: Toolset) -> None:
    billing.project.toolset("other")
    taken = run("toolset", "edit", BILLING, "--slug", "other", "--json")
    assert (taken.status, json.loads(taken.err)["type"]) == (1, "NameTaken")
    missing = run("toolset", "edit", "acme/payments/nothing", "--name", "x")
    assert (missing.status, missing.err.splitlines()[0]) == (1, "error: there is no toolset acme/payments/nothing")
    freeze(billing.project)
    frozen = run("toolset", "edit", BILLING, "--name", "x")
    assert frozen.status == 1
    assert "--override-freeze REASON" in frozen.err
    assert run("toolset", "edit", BILLING, "--name", "x", "--override-freeze", "provider down").status == 0


def test_text_from_outside_cannot_steer_the_terminal(run: CommandLine, billing: Toolset) -> None:
    done = run("project", "edit", "acme/payments", "--set-prompt", "greeting=\x1b[31mred")
    assert "\x1b" not in done.out + done.err
    assert "\x1b" not in run("project", "show", "acme/payments").out


def test_what_is_edited_by_commands_is_rolled_back(run: CommandLine, engine: Engine, billing: Toolset) -> None:
    before = live_state(engine, billing)
    release(engine, billing)
    run("toolset", "edit", BILLING, "--name", "x", "--remove-tool", INVOICE, "--set-config", "k=1")
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == before


def test_an_api_document_is_imported_and_again_and_edited(run: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "pets.yaml"
    file.write_bytes(PETSTORE)
    words = ("toolset", "import", str(file), "--into", "acme/shop/pets")
    missing = run(*words)
    assert (missing.status, missing.err.splitlines()[0]) == (1, "error: there is no toolset acme/shop/pets")
    done = run(*words, "--create")
    assert done.status == 0, done.err
    assert done.out.startswith("acme/shop/pets is edited.\n")
    assert "tools: 4 added\n" in done.out
    assert run(*words).out == "acme/shop/pets is as it was to be.\n"
    file.write_bytes(petstore("operationId: listPets", "operationId: findPets"))
    changes = run(*words, "--json").document["changes"]
    assert changes["tools"]["added"] == ["tools:http:pet-store:findPets"]
    assert changes["tools"]["removed"] == ["tools:http:pet-store:listPets"]
    assert run(*words, "--slug", "other", "--json").document["changes"]["tools"]["removed"] == []


@pytest.mark.parametrize("document", [b"", b"{", b"a: [", b"a: &a [*a]", b'{"swagger": "2.0"}', b"\xff"])
def test_what_is_no_api_document_is_said_in_one_line(run: CommandLine, tmp_path: Path, document: bytes) -> None:
    file = tmp_path / "api"
    file.write_bytes(document)
    ended = run("toolset", "import", str(file), "--into", "acme/shop/pets", "--create")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert run("organization", "list", "--json").document == []


def test_a_file_that_is_not_there_is_said_in_one_line(run: CommandLine) -> None:
    ended = run("toolset", "import", "/nowhere", "--into", "acme/shop/pets")
    assert (ended.status, "/nowhere cannot be read" in ended.err, ended.err.count("\n")) == (2, True, 1)
