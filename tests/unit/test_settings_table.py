"""What is said of settings: in their descriptions, from which the reference page is made, and in README."""

import re

import pytest

from release_worker.settings import PREFIX, Settings, given_settings
from tests.support.repository import read


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_says_what_it_is_for(name: str) -> None:
    assert len(Settings.model_fields[name].description or "") > 10


def test_readme_says_of_a_setting_what_the_setting_says() -> None:
    listed = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*) \|$", read("README.md"), re.MULTILINE))
    assert listed.keys() >= {"DATABASE_URL", "BROKER_URL", "RESULT_BACKEND", "REDIS_URL"}
    for name, said in listed.items():
        assert said == Settings.model_fields[name.lower()].description


def test_each_default_of_a_limit_that_a_description_names_is_that_of_the_code() -> None:
    limits = given_settings().limits
    for name in ("soft_time_limit", "hard_time_limit", "visibility_timeout", "lease_seconds"):
        default = getattr(limits, name.removesuffix("_seconds"))
        assert re.search(rf"[;,] {default:g}\b", Settings.model_fields[name].description or ""), (name, default)
