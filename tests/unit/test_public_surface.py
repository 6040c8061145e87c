"""What other packages import, and how they call it, changes only on purpose."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.support import golden
from tests.support.golden import assert_golden
from tests.support.signatures import public_surface

MODULES = ("release_worker", "release_worker.components", "release_worker.errors", "release_worker.testing")


def test_exported_names_and_their_signatures_are_those_of_the_golden_file(renew: bool) -> None:
    lines = [line for name in MODULES for line in public_surface(import_module(name))]
    assert_golden("public_surface.txt", "\n".join(lines), renew=renew)


def test_a_difference_is_shown_with_the_way_to_renew_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "GOLDEN", tmp_path)
    assert_golden("names.txt", "kept\nold\n", renew=True)
    assert_golden("names.txt", "kept\nold\n", renew=False)
    with pytest.raises(AssertionError, match=r"-old\n[+]new\n\nIf this is meant, .* --renew-golden"):
        assert_golden("names.txt", "kept\nnew\n", renew=False)
    with pytest.raises(AssertionError, match="--renew-golden"):
        assert_golden("nowhere.txt", "new", renew=False)
