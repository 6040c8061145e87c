"""What an operator reads in Flower: its list of tasks, and the pages of a release and of a rollback that failed."""

import subprocess
import sys

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import CELERY
from release_worker.errors import ReleaseNotFound
from tests.browser.conftest import Flower
from tests.support.billing import a_full_toolset
from tests.support.workers import LONG, Service

SECRET = "hunter2-is-secret"


class Operator:
    """Somebody who looks at Flower's pages, which fill their lists by themselves after they have come."""

    def __init__(self, browser: WebDriver, flower: Flower) -> None:
        self._browser, self._address = browser, flower.as_operator

    def wait_for_a_worker(self) -> None:
        """Until Flower has heard of a worker, and so hears of tasks."""

        def heard() -> bool:
            self._browser.get(self._address)
            return bool(self._browser.find_elements(By.CSS_SELECTOR, "a[href*='/worker/']"))

        assert eventually(heard, within=LONG)

    def list_of_tasks(self, states: set[str]) -> dict[str, dict[str, str]]:
        """The rows of the list, by the ids of the tasks, each by column, as soon as there are these states in it."""
        rows: dict[str, dict[str, str]] = {}

        def look() -> bool:
            self._browser.get(f"{self._address}/tasks")
            rows.clear()
            rows.update(self._rows())
            return {row["state"] for row in rows.values()} == states

        assert eventually(look, within=LONG), rows
        return rows

    def finds(self, text: str, task_id: str) -> bool:
        """Whether a search for this text comes to show this task alone; while the text is typed, Flower looks too."""
        self._browser.find_element(By.CSS_SELECTOR, "#tasks-table_filter input").send_keys(text)
        return eventually(lambda: set(self._rows()) == {task_id}, within=LONG)

    def _rows(self) -> dict[str, dict[str, str]]:
        columns = self._browser.execute_script(
            "return $('#tasks-table').DataTable().columns().header().toArray().map(one => one.dataset.column)"
        )
        cells = self._browser.execute_script(
            "return $('#tasks-table tbody tr').toArray().map(row => [row.id, $(row).children().toArray()"
            ".map(cell => cell.innerText.trim())])"
        )
        return {row: dict(zip(columns, texts, strict=True)) for row, texts in cells if row}

    def page_of(self, task_id: str) -> dict[str, str]:
        """What the page of a task shows, by its labels."""
        self._browser.get(f"{self._address}/task/{task_id}")
        rows = self._browser.find_elements(By.CSS_SELECTOR, ".detail-list .detail-row")
        return {
            row.find_element(By.TAG_NAME, "dt").text: row.find_element(By.TAG_NAME, "dd").text.strip() for row in rows
        }

    def source(self) -> str:
        return self._browser.page_source


@pytest.fixture
def operator(browser: WebDriver, flower: Flower) -> Operator:
    return Operator(browser, flower)


def test_flower_shows_who_asked_for_what_and_what_came_of_it(served: Service, operator: Operator) -> None:
    billing = a_full_toolset(served.engine)
    operator.wait_for_a_worker()
    sweep = [sys.executable, "-m", *CELERY, "call", "release_worker.sweep"]
    subprocess.run(sweep, env=served.environment, check=True, capture_output=True)
    with served.client() as client:
        made = client.create_release(billing.path, actor="ci", notes="build 991", labels={"api_token": SECRET})
        made.result(LONG)
        failed = client.rollback(str(billing.id), 41, actor="oncall", reason="bad prompt")
        with pytest.raises(ReleaseNotFound):
            failed.result(LONG)

    rows = operator.list_of_tasks({"SUCCESS", "FAILURE"})
    assert set(rows) == {made.id, failed.id}, "and no chore"
    release, rollback = rows[made.id], rows[failed.id]
    assert release["name"] == "release_worker.create_release"
    asked = f'{billing.path}, actor=ci, notes="build 991", labels={{api_token}}'
    assert release["kwargs"] == asked
    assert release["result"].startswith(f"release_number=1, {billing.path}, create_release, ")
    assert rollback["name"] == "release_worker.rollback"
    named = f"{billing.path} ({billing.id}), release_number=41, actor=oncall"
    assert rollback["kwargs"] == f'{named}, reason="bad prompt"'
    sentence = f"ReleaseNotFound: toolset {billing.path} has no release 41"
    assert rollback["exception"] == sentence
    assert SECRET not in operator.source()

    assert operator.finds(f"{billing.path} release_number=41", failed.id)

    page = operator.page_of(made.id)
    assert (page["Name"], page["Status"]) == ("release_worker.create_release", "SUCCESS")
    assert page["Keyword arguments"] == asked
    assert page["Result"] == release["result"]
    assert SECRET not in operator.source()

    page = operator.page_of(failed.id)
    assert (page["Name"], page["Status"]) == ("release_worker.rollback", "FAILURE")
    assert page["Keyword arguments"] == rollback["kwargs"]
    assert page["Exception"] == sentence
    assert "Traceback" not in page


def test_flower_with_a_password_shows_nothing_without_it(flower: Flower) -> None:
    assert flower.status("/tasks") == 401
    assert flower.status("/api/tasks") == 401
