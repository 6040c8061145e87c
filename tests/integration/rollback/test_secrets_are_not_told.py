"""What a rollback and a check of drift tell and store of values under keys that look secret: that they differ."""

from sqlalchemy import Engine, text

from release_worker.domain import canonical_json
from release_worker.domain.secrets import HIDDEN, SecretKeys
from release_worker.state.registry import Registry, built_in_components
from tests.support.billing import REFUND, a_full_toolset
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.world import Toolset

SECRET = "hunter2"


def released_and_edited(engine: Engine) -> Toolset:
    """Only secrets differ from release 1."""
    billing = a_full_toolset(engine)
    write(billing, SECRET)
    release(engine, billing)
    write(billing, f"{SECRET} and 3")
    return billing


def write(billing: Toolset, secret: str) -> None:
    billing.project.configure("api_key", secret)
    billing.project.configure("bank", {"url": "https://bank.test", "login": {"password": secret}})
    billing.edit(settings={"timeout": 30, "token": secret})
    billing.vary(REFUND, {"headers": {"Authorization": secret}})


def test_a_difference_in_secrets_alone_is_told_without_them(engine: Engine) -> None:
    billing = released_and_edited(engine)
    found = drift(engine, billing)
    assert found.drifted
    assert set(found.changes) == {"system", "settings", "toolset_variations"}
    assert SECRET not in found.model_dump_json()
    assert found.changes["system"].changed == (
        {"key": "config/api_key", "old": HIDDEN, "new": HIDDEN},
        {
            "key": "config/bank",
            "fields": {"login": {"old": {"password": HIDDEN}, "new": {"password": HIDDEN}}},
        },
    )


def test_a_rollback_restores_secrets_and_stores_none_in_what_it_tells(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    write(billing, SECRET)
    before = live_state(engine, billing)
    release(engine, billing)
    write(billing, "other")
    for dry_run in (True, False):
        result = roll_back(engine, billing, 1, dry_run=dry_run)
        assert set(result.changes) == {"system", "settings", "toolset_variations"}
        assert SECRET not in result.model_dump_json()
    assert live_state(engine, billing) == before
    with engine.connect() as connection:
        [stored] = connection.execute(text("SELECT changes FROM toolset_rollbacks")).scalars()
    assert set(stored) == {"system", "settings", "toolset_variations"}
    assert SECRET not in canonical_json.dumps(stored)


def test_a_deployment_says_which_keys_are_secret(engine: Engine) -> None:
    billing = released_and_edited(engine)
    registry = Registry(built_in_components().all, SecretKeys(("url",)))
    assert SECRET in drift(engine, billing, registry=registry).model_dump_json()
