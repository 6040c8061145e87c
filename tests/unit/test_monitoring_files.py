"""The alert rules and the dashboard in `deploy` name what is really shown; each alert fires when it should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import mistakes
from tests.support.repository import ROOT, read

ALERTS = "deploy/prometheus/alerts.yml"
DASHBOARD = "deploy/grafana/dashboard.json"
RULES: list[dict[str, Any]] = [rule for group in yaml.safe_load(read(ALERTS))["groups"] for rule in group["rules"]]


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


BOARD: dict[str, Any] = json.loads(read(DASHBOARD))
PANELS = [panel for panel in _panels(BOARD["panels"]) if panel["type"] != "row"]
EXPRESSIONS = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not installed")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_names_metrics_labels_and_values_that_are_shown(rule: dict[str, Any]) -> None:
    assert mistakes(rule["expr"]) == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_panel_names_metrics_labels_and_values_that_are_shown(expression: str) -> None:
    assert mistakes(expression) == []


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("rate(release_worker_attempts[5m])", "no metric release_worker_attempts"),
        ('release_worker_leases{toolset="x"}', "no label toolset of release_worker_leases"),
        ('release_worker_attempts_total{outcome="lost"}', "no value lost of outcome"),
        ('release_worker_attempts_total{outcome=~"failed|lost"}', "no value lost of outcome"),
        ("sum by (le) (release_worker_step_seconds_sum)", "no label le"),
        ("up == 0", "no metric"),
    ],
)
def test_a_mistake_in_an_expression_is_found(expression: str, mistake: str) -> None:
    assert mistakes(expression) == [mistake]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_and_leads_to_a_section_that_is_there(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    page, anchor = rule["annotations"]["runbook"].split("#")
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) >= 10
    assert all(re.fullmatch(r"ReleaseWorker[A-Za-z]+", name) for name in names)


def test_the_dashboard_can_be_imported_into_any_grafana() -> None:
    assert BOARD["uid"] == "release-worker"
    assert [variable["type"] for variable in BOARD["templating"]["list"]] == ["datasource"]
    every = list(_panels(BOARD["panels"]))
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for panel in PANELS:
        assert panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def _promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)


@with_promtool
def test_prometheus_reads_the_alerts() -> None:
    checked = _promtool("check", "rules", ROOT / ALERTS)
    assert checked.returncode == 0, checked.stderr


@with_promtool
def test_prometheus_reads_each_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = _promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stderr


# Series that let an alert fire, by two workers that show the same; a minute a value. And those that must not.
FIRES: dict[str, dict[str, str]] = {
    "ReleaseWorkerNotScraped": {},
    "ReleaseWorkerDatabaseDoesNotAnswer": {"up": "1 0x90"},
    "ReleaseWorkerRollbackWaits": {'oldest_queued_seconds{queue="rollbacks"}': "0+60x90"},
    "ReleaseWorkerQueueOld": {'oldest_queued_seconds{queue="releases"}': "0+60x90"},
    "ReleaseWorkerMessagesNotSentAgain": {"oldest_unpublished_seconds": "0+60x90"},
    "ReleaseWorkerChoresNotDone": {"unfolded_measurements": "0+1000x90"},
    "ReleaseWorkerWorkersLost": {'attempts_total{kind="rollback",outcome="expired"}': "0+1x90"},
    "ReleaseWorkerIntegrityMismatch": {'failures_total{error="IntegrityMismatch"}': "0x80 1x9"},
    "ReleaseWorkerDefect": {'failures_total{error="UnexpectedFailure"}': "0x80 1x9"},
    "ReleaseWorkerRollbackFailed": {'requests_finished_total{kind="repair",status="failed"}': "0x85 1x4"},
    "ReleaseWorkerRequestsFail": {
        'requests_finished_total{kind="mark",status="failed"}': "0+1x90",
        'requests_finished_total{kind="mark",status="succeeded"}': "0+3x90",
    },
    "ReleaseWorkerAttemptsPostponed": {'postponements_total{error="LockUnavailable"}': "0+10x90"},
    "ReleaseWorkerSlow": {
        'attempt_seconds_bucket{kind="rollback",le="30.0"}': "0+1x90",
        'attempt_seconds_bucket{kind="rollback",le="60.0"}': "0+2x90",
        'attempt_seconds_bucket{kind="rollback",le="+Inf"}': "0+2x90",
    },
    "ReleaseWorkerEventsLate": {"oldest_undelivered_event_seconds": "0+60x90"},
    "ReleaseWorkerEventsDead": {'event_deliveries{state="dead"}': "1x90"},
    "ReleaseWorkerDriftNotWatched": {"oldest_drift_look_seconds": "0+120x90"},
    "ReleaseWorkerSchedulesLate": {"oldest_due_schedule_seconds": "0+60x90"},
    "ReleaseWorkerSchedulesSuspended": {'schedules{state="suspended"}': "1x90"},
    "ReleaseWorkerLedgerLarge": {'table_bytes{table="release_requests"}': "30000000000x90"},
}
QUIET: dict[str, str] = {
    "up": "1x90",
    'oldest_queued_seconds{queue="rollbacks"}': "5x90",
    'oldest_queued_seconds{queue="releases"}': "300x90",
    "oldest_unpublished_seconds": "20x90",
    "unfolded_measurements": "500x90",
    'attempts_total{kind="rollback",outcome="expired"}': "7x90",
    'failures_total{error="IntegrityMismatch"}': "3x90",
    'failures_total{error="UnexpectedFailure"}': "3x90",
    'requests_finished_total{kind="repair",status="failed"}': "4x90",
    'requests_finished_total{kind="mark",status="failed"}': "0+1x90",
    'requests_finished_total{kind="mark",status="succeeded"}': "0+30x90",
    'postponements_total{error="LockUnavailable"}': "0+2x90",
    'attempt_seconds_bucket{kind="rollback",le="30.0"}': "0+100x90",
    'attempt_seconds_bucket{kind="rollback",le="60.0"}': "0+101x90",
    'attempt_seconds_bucket{kind="rollback",le="+Inf"}': "0+101x90",
    "oldest_undelivered_event_seconds": "10x90",
    'event_deliveries{state="dead"}': "0x90",
    "oldest_due_schedule_seconds": "3x90",
    "oldest_drift_look_seconds": "700x90",
    'schedules{state="suspended"}': "0x90",
    'table_bytes{table="release_requests"}': "1000000000x90",
}


def test_each_alert_is_tried() -> None:
    assert set(FIRES) == {rule["alert"] for rule in RULES}


@with_promtool
@pytest.mark.parametrize("alert", FIRES)
def test_an_alert_fires_when_it_should(tmp_path: Path, alert: str) -> None:
    assert _firing(tmp_path, alert, {"up": "1x90", **FIRES[alert]} if FIRES[alert] else {}) is True


@with_promtool
@pytest.mark.parametrize("alert", FIRES)
def test_no_alert_fires_while_all_is_well(tmp_path: Path, alert: str) -> None:
    assert _firing(tmp_path, alert, QUIET) is False


def _firing(directory: Path, alert: str, series: dict[str, str]) -> bool:
    """Whether the alert fires after an hour and a half; a test of promtool's that expects no alert tells."""
    given = [
        {"series": _of_worker(f"release_worker_{name}", worker), "values": values}
        for name, values in series.items()
        for worker in ("a", "b")
    ]
    tested = {
        "rule_files": [str(ROOT / ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "alert_rule_test": [{"eval_time": "89m", "alertname": alert, "exp_alerts": []}],
            }
        ],
    }
    file = directory / "test.yml"
    file.write_text(yaml.safe_dump(tested))
    checked = _promtool("test", "rules", file)
    said = checked.stdout + checked.stderr
    assert (checked.returncode == 0) == ("SUCCESS" in said), said
    if checked.returncode != 0:
        assert f'alertname="{alert}"' in said, said
    return checked.returncode != 0


def _of_worker(name: str, worker: str) -> str:
    instance = f'instance="{worker}"'
    return name.replace("{", f"{{{instance},") if "{" in name else f"{name}{{{instance}}}"


def test_the_port_that_a_pod_names_is_the_one_that_its_worker_opens() -> None:
    [configuration] = [
        one for one in yaml.safe_load_all(read("deploy/kubernetes/configuration.yaml")) if one["kind"] == "ConfigMap"
    ]
    pod = yaml.safe_load(read("deploy/kubernetes/worker.yaml"))["spec"]["template"]
    port = int(configuration["data"]["RELEASE_WORKER_METRICS_PORT"])
    assert configuration["data"]["RELEASE_WORKER_METRICS_ADDRESS"] == "0.0.0.0"
    assert pod["spec"]["containers"][0]["ports"] == [{"name": "metrics", "containerPort": port}]
    assert pod["metadata"]["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
    assert f"--port {port}" in read("docs/how-to/watch-it.md")
