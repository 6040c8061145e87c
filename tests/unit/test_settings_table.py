"""README's table of settings is that of the code."""

import re

from release_worker.settings import PREFIX, Settings, given_settings
from tests.support.repository import read


def test_each_setting_stands_in_the_table_once_and_no_other() -> None:
    listed = re.findall(rf"^\| `({PREFIX}\w+)` \|", read("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(f"{PREFIX}{name}".upper() for name in Settings.model_fields)


def test_each_default_of_a_limit_that_the_table_names_is_that_of_the_code() -> None:
    limits = given_settings().limits
    for name in ("soft_time_limit", "hard_time_limit", "visibility_timeout", "lease_seconds"):
        row = re.search(rf"^\| `{PREFIX}{name.upper()}` \|(.*)\|$", read("README.md"), re.MULTILINE)
        assert row is not None
        default = getattr(limits, name.removesuffix("_seconds"))
        assert re.search(rf"[;,] {default:g}\b", row[1]), (name, default)
