"""A real browser, headless, which looks at a real Flower beside a real worker."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.remote.webdriver import WebDriver

from release_worker.cli.dev import _free_port
from release_worker.embedded.python_process import CELERY, PythonProcess
from tests.support.servers import Servers
from tests.support.workers import Service, running_worker, service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PASSWORD = "a-password-of-the-test"


@dataclass(frozen=True)
class Flower:
    """A running Flower, for a browser that knows its password, and for one that does not."""

    address: str

    @property
    def as_operator(self) -> str:
        return f"http://operator:{PASSWORD}@{self.address}"

    def status(self, path: str) -> int:
        """The HTTP status for who gives no password."""
        try:
            with urlopen(f"http://{self.address}{path}") as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Chromium and its driver, if both are installed: `tests/browser/install` does so on Debian."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip(f"no browser: needs one of {', '.join(BROWSERS)}, and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=2400,1200"):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={profile}")
        started = webdriver.Chrome(options=options, service=Driver(executable_path=driver))
        try:
            yield started
        finally:
            started.quit()


@pytest.fixture(scope="module")
def served(servers: Servers, browser: WebDriver) -> Iterator[Service]:
    """A worker's servers. Without a browser, nothing is started."""
    with service(servers, broker_database=5) as made:
        yield made


@pytest.fixture(scope="module")
def worker(served: Service) -> Iterator[PythonProcess]:
    with running_worker(served, "--hostname", "browser@%h") as started:
        yield started


@pytest.fixture(scope="module")
def flower(served: Service, worker: PythonProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    """Flower as README starts it, and no option besides."""
    directory = tmp_path_factory.mktemp("flower")
    port = _free_port(0)
    environment = {**served.environment, "FLOWER_BASIC_AUTH": f"operator:{PASSWORD}"}
    command = [*CELERY, "flower", "--address=127.0.0.1", f"--port={port}"]
    running = Flower(f"127.0.0.1:{port}")
    with PythonProcess("flower", command, Path(directory), environment) as process:
        process.wait_until(lambda: _answers(running))
        yield running


def _answers(flower: Flower) -> bool:
    try:
        return flower.status("/healthcheck") == 200
    except URLError:
        return False
