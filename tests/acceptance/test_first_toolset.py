"""A newcomer's own API: released and rolled back in three commands, with a real worker."""

from pathlib import Path
from uuid import uuid4

from tests.support.command_line import CommandLine
from tests.support.openapi import PETSTORE, petstore


def test_three_commands_import_release_and_roll_back(run: CommandLine, tmp_path: Path) -> None:
    path, file = f"org-{uuid4().hex[:12]}/shop/pets", tmp_path / "openapi.yaml"
    file.write_bytes(PETSTORE)

    assert run.as_process("toolset", "import", str(file), "--into", path, "--create").status == 0
    released = run.as_process("release", path)
    assert released.out.startswith(f"Release 1 of {path} was made, and is current.\n")

    file.write_bytes(petstore("operationId: listPets", "operationId: findPets"))
    run("toolset", "import", str(file), "--into", path)
    assert run("drift", path).status == 3
    rolled_back = run.as_process("rollback", path, 1, "--yes")
    assert rolled_back.status == 0, rolled_back.err
    shown = run("toolset", "show", path, "--json").document
    assert [one["name"] for one in shown["tools"]] == ["listPets", "createPet", "pets_get_one", "delete_pets_petId"]
    assert run("drift", path).status == 0


def test_an_imported_document_can_be_imported_again_after_a_rollback(run: CommandLine, tmp_path: Path) -> None:
    path, file = f"org-{uuid4().hex[:12]}/shop/pets", tmp_path / "openapi.yaml"
    file.write_bytes(PETSTORE)
    run("toolset", "import", str(file), "--into", path, "--create")
    run("release", path)
    edited = petstore("operationId: listPets", "operationId: findPets")
    file.write_bytes(edited)
    run("toolset", "import", str(file), "--into", path)
    run("rollback", path, 1, "--yes")

    changes = run("toolset", "import", str(file), "--into", path, "--json").document["changes"]

    assert changes["tools"]["added"] == ["tools:http:pet-store:findPets"]
    assert changes["tools"]["removed"] == ["tools:http:pet-store:listPets"]
