"""Names that other apps and operators rely on: they are there, and they stay."""

import release_worker
from release_worker import components, testing
from release_worker.broker.routing import QUEUE_NAMES, TASKS
from release_worker.domain.requests.kinds import KINDS
from release_worker.settings import PREFIX, Settings
from release_worker.state.registry import ENTRY_POINTS, built_in_components


def test_the_package_offers_the_client_and_the_app() -> None:
    assert {"ReleaseClient", "app"} <= set(release_worker.__all__)
    for method in ("from_env", "create_release", "rollback"):
        assert callable(getattr(release_worker.ReleaseClient, method))


def test_every_public_name_can_be_imported() -> None:
    for name in release_worker.__all__:
        assert getattr(release_worker, name) is not None


def test_the_tasks_have_the_names_of_the_contract() -> None:
    for kind in ("create_release", "rollback", "check_drift"):
        assert TASKS[kind] == f"release_worker.{kind}"


def test_releases_and_rollbacks_have_queues_of_their_own() -> None:
    assert set(QUEUE_NAMES) == {"releases", "rollbacks", "maintenance"}
    assert (KINDS["create_release"].queue, KINDS["rollback"].queue) == ("releases", "rollbacks")


def test_the_settings_are_those_of_the_contract() -> None:
    assert PREFIX == "RELEASE_WORKER_"
    assert {"database_url", "broker_url", "result_backend", "redis_url"} <= set(Settings.model_fields)
    assert {"soft_time_limit", "hard_time_limit", "visibility_timeout", "lease_seconds"} <= set(Settings.model_fields)


def test_the_components_are_those_of_the_contract_in_its_order() -> None:
    named = ["tools", "resources", "settings", "deployment", "system", "global_variations", "toolset_variations"]
    assert list(built_in_components().names) == named


def test_plug_ins_are_found_under_the_entry_point_group_of_the_contract() -> None:
    assert ENTRY_POINTS == "release_worker.components"


def test_what_a_plug_in_imports_is_there_and_stays() -> None:
    assert set(components.__all__) == {
        "Component",
        "HasForms",
        "HasLiveRows",
        "HasReach",
        "Parameters",
        "Scope",
        "TableComponent",
        "UnlinkedTableComponent",
        "keyed_diff",
        "members",
        "once",
    }
    assert {"Edit", "Owner", "exercise_component"} <= set(testing.__all__)


def test_what_the_tests_of_apps_import_is_there_and_stays() -> None:
    assert {"FakeReleaseClient", "FakeRequest"} <= set(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    for module in (components, testing):
        for name in module.__all__:
            assert getattr(module, name) is not None
