"""No Docker engine, no cluster and no systemd is at hand, so what the files of a deployment say is held against the
code: commands, options, variables, ports, paths, users and times."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg
import pytest
import typer
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery as celery_command
from tornado.options import options as flower_options

from release_worker import migrations
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.cli.dev import FLOWER_PORT
from release_worker.cli.healthcheck import LONGEST
from release_worker.cli.main import app as command_line
from release_worker.domain.limits import DEFAULTS
from release_worker.settings import PREFIX, Settings
from release_worker.worker.app import make_app
from tests.support.deployment import (
    COMPOSE,
    INSTALLED,
    MANIFESTS,
    PROGRAMS,
    UNITS,
    Program,
    composed,
    container_of,
    dockerfile,
    of_kind,
    probe_of_image,
    programs,
    unit,
)
from tests.support.repository import ROOT, read

COMMANDS = {str(program): program.command for program in PROGRAMS} | {
    f"{program} probe {number}": probe for program in PROGRAMS for number, probe in enumerate(program.probes)
}
LIBPQ = {option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar}
import_module("flower.options")
FLOWER_OPTIONS = {name.replace("-", "_") for name in flower_options}
FLOWER = {f"FLOWER_{name.upper()}" for name in FLOWER_OPTIONS}
OURS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def check_command(command: Sequence[str]) -> None:
    """Raises click.ClickException for a command or an option that does not exist."""
    program, *arguments = command
    match program:
        case "release-worker":
            walk(typer.main.get_command(command_line), program, arguments, None)
        case "celery":
            assert arguments[:2] == ["-A", "release_worker"]
            walk(celery_command, program, arguments[2:], CLIContext(app=make_app(), no_color=True, workdir=None))
        case "python":
            assert arguments[0] == "-c"
            compile(arguments[1], "probe", "exec")
        case _:
            raise AssertionError(program)


def walk(command: Any, name: str, arguments: Sequence[str], obj: Any) -> None:
    """Parse as click does, down to the command that would run, and stop there."""
    context, rest = None, list(arguments)
    while hasattr(command, "resolve_command"):
        context = command.context_class(command, parent=context, info_name=name, obj=obj)
        found, command, rest = command.resolve_command(context, rest)
        name = str(found)
    made = command.make_context(name, rest, parent=context)
    assert made.args == []
    for option in made.params.get("tornado_argv", ()):  # Flower reads its options by itself
        assert option.removeprefix("--").partition("=")[0].replace("-", "_") in FLOWER_OPTIONS


@pytest.fixture(autouse=True)
def _a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}BROKER_URL", "redis://broker.test/0")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_command_is_one_that_the_programs_take(command: Sequence[str]) -> None:
    check_command(command)


@pytest.mark.parametrize(
    "wrong",
    [
        ["release-worker", "healthcheck", "--only", "wörker"],
        ["release-worker", "db", "update"],
        ["celery", "-A", "release_worker", "worker", "--poool=solo"],
        ["celery", "-A", "release_worker", "baet"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_would_be_noticed(wrong: Sequence[str]) -> None:
    with pytest.raises((click.ClickException, typer.TyperException)):
        check_command(wrong)


def test_each_way_to_deploy_runs_a_worker_a_beat_and_flower() -> None:
    for word in ("worker", "beat", "flower"):
        assert {str(program).split()[0] for program in programs(word) if program.command[0] == "celery"} == {
            "compose",
            "kubernetes",
            "systemd",
        }


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_variable_is_read_by_somebody(program: Program) -> None:
    known = OURS | LIBPQ | (FLOWER if "flower" in program.command else set())
    assert program.variables.keys() <= known


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_finds_its_servers_and_holds_no_secret_that_it_does_not_need(program: Program) -> None:
    database, broker = f"{PREFIX}DATABASE_URL", f"{PREFIX}BROKER_URL"
    migrates = "upgrade" in program.command
    assert (broker in program.variables) is not migrates
    if "systemd" not in program.where:  # there they share a file
        assert (database in program.variables) is (migrates or "worker" in program.command)
        assert ("PGPASSWORD" in program.variables) is (database in program.variables)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_passwords_are_apart_from_urls_so_that_they_may_hold_any_character(program: Program) -> None:
    for name, value in program.variables.items():
        assert not name.endswith("_URL") or urlsplit(value).password is None


def test_workers_log_in_with_the_rights_of_a_worker_alone() -> None:
    assert "release_worker_worker" in migrations.grants()
    logins = {
        urlsplit(program.variables[f"{PREFIX}DATABASE_URL"]).username: "upgrade" in program.command
        for program in PROGRAMS
        if f"{PREFIX}DATABASE_URL" in program.variables
    }
    assert logins == {"release_worker": True, "release_worker_service": False}
    script = read("deploy/compose/roles.sh")
    assert "CREATE ROLE release_worker_service LOGIN PASSWORD :'password' IN ROLE release_worker_worker;" in script
    for variable in re.findall(r"\\getenv \w+ (\w+)", script):
        assert variable in COMPOSE["services"]["postgres"]["environment"]


@pytest.mark.parametrize("program", programs("worker"), ids=str)
def test_a_worker_has_as_long_to_end_as_an_operation_may_take(program: Program) -> None:
    assert program.grace is not None
    assert program.grace >= DEFAULTS.hard_time_limit + 10
    assert "REMAP_SIGTERM" not in program.variables
    for option in ("-Q", "--queues"):
        if option in program.command:
            assert set(program.command[program.command.index(option) + 1].split(",")) <= set(QUEUE_NAMES)


def test_whatever_ends_is_brought_back() -> None:
    """Celery ends a worker, with status 1, if a child dies while its pool starts."""
    for name, service in COMPOSE["services"].items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    for workload in of_kind("Deployment"):  # which restart their containers always
        assert "restartPolicy" not in workload["spec"]["template"]["spec"]
    for one in map(unit, UNITS):
        assert (one.one("Restart"), one.one("StartLimitIntervalSec")) == ("always", "0")


def test_signals_reach_celery_and_not_a_shell() -> None:
    image = dockerfile()
    assert image.words("ENTRYPOINT") == ["tini", "--"]
    assert "apt-get install --yes --no-install-recommends tini" in read("Dockerfile")
    assert image.words("CMD")[0] == "celery"
    for workload in of_kind("Deployment", "Job"):
        assert "command" not in container_of(workload)  # it would replace the entry point
    for one in map(unit, UNITS):
        assert one.one("ExecStart").startswith(INSTALLED)
    assert unit(ROOT / "deploy/systemd/release-worker.service").one("KillMode") == "mixed"


def test_nothing_runs_as_root_or_may_become_it() -> None:
    user = dockerfile().last_stage["USER"]
    assert int(user) > 0
    for workload in of_kind("Deployment", "Job"):
        pod, container = workload["spec"]["template"]["spec"]["securityContext"], container_of(workload)
        assert (pod["runAsNonRoot"], pod["runAsUser"]) == (True, int(user))
        security = container["securityContext"]
        assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    for program in composed():
        service = COMPOSE["services"][program.where.split()[1]]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    for one in map(unit, UNITS):
        assert (one.one("User"), one.one("NoNewPrivileges")) == ("release-worker", "yes")


def test_what_is_written_lies_where_something_may_be_written() -> None:
    for program in programs("--schedule"):
        schedule = Path(program.command[program.command.index("--schedule") + 1])
        if program.where.startswith("systemd"):
            state = unit(ROOT / "deploy/systemd/release-worker-beat.service").one("StateDirectory")
            assert schedule.parent == Path("/var/lib") / state
        else:
            assert schedule.parent == Path("/tmp")
    for program in composed():
        assert COMPOSE["services"][program.where.split()[1]]["tmpfs"] == ["/tmp"]
    for workload in of_kind("Deployment", "Job"):
        assert [mount["mountPath"] for mount in container_of(workload)["volumeMounts"]] == ["/tmp"]
    for name in ("release-worker", "release-worker-beat"):
        one = unit(ROOT / f"deploy/systemd/{name}.service")
        given = next(program for program in PROGRAMS if program.where == f"systemd {name}").variables
        assert given[f"{PREFIX}HEALTH_DIRECTORY"] == f"/run/{one.one('RuntimeDirectory')}"


def test_what_an_image_or_a_service_takes_from_the_repository_is_there() -> None:
    context = re.findall(r"^!(.*)$", read(".dockerignore"), re.MULTILINE)
    for name in dockerfile().copied:
        assert (ROOT / name).exists()
        assert Path(name).parts[0] in context
    mounted = [volume for volume in COMPOSE["services"]["postgres"]["volumes"] if volume.startswith("./")]
    assert mounted
    for volume in mounted:
        assert (ROOT / volume.partition(":")[0]).is_file()
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in MANIFESTS.iterdir())


def test_probes_wait_longer_than_a_healthcheck_takes() -> None:
    for workload in of_kind("Deployment"):
        for name in ("startup", "readiness", "liveness"):
            probe = container_of(workload).get(f"{name}Probe", {})
            assert "exec" not in probe or probe["timeoutSeconds"] >= 2 * LONGEST
    assert all(
        float(service["healthcheck"]["timeout"].removesuffix("s")) >= 2 * LONGEST
        for service in COMPOSE["services"].values()
        if "release-worker" in str(service.get("healthcheck"))
    )
    assert "--timeout=10s" in dockerfile().last_stage["HEALTHCHECK"]
    assert probe_of_image() == ["release-worker", "healthcheck"]
    for one, signs_within in (
        ("release-worker", DEFAULTS.sign_interval),
        ("release-worker-beat", DEFAULTS.sweep_interval),
    ):
        settings = unit(ROOT / f"deploy/systemd/{one}.service")
        assert float(settings.one("WatchdogSec")) >= 3 * signs_within
        assert settings.one("NotifyAccess") == "main"


def test_everything_that_runs_is_probed() -> None:
    for name, service in COMPOSE["services"].items():
        assert "healthcheck" in service or name == "worker"  # the image's own
    assert {str(one) for one in composed() if not one.probes} == {"compose migrate"}
    for workload in of_kind("Deployment"):
        assert "livenessProbe" in container_of(workload)
    worker = container_of(next(one for one in of_kind("Deployment") if one["metadata"]["name"] == "release-worker"))
    assert worker["livenessProbe"]["exec"]["command"][2:] == [
        "--only",
        "alive",
    ]  # not its servers: they are no fault of its


def test_flower_has_one_port_and_asks_who_is_there() -> None:
    for program in programs("flower"):
        assert f"--port={FLOWER_PORT}" in program.command
        assert {"FLOWER_BASIC_AUTH", "FLOWER_COOKIE_SECRET"} <= program.variables.keys()
        if program.where.startswith("systemd"):
            assert "--address=127.0.0.1" in program.command
    service = COMPOSE["services"]["flower"]
    assert service["ports"] == [f"127.0.0.1:{FLOWER_PORT}:{FLOWER_PORT}"]
    assert f":{FLOWER_PORT}/healthcheck" in str(service["healthcheck"]["test"])
    [exposed] = of_kind("Service")
    [deployment] = [one for one in of_kind("Deployment") if one["metadata"]["name"] == exposed["metadata"]["name"]]
    container = container_of(deployment)
    assert container["ports"] == [{"name": "http", "containerPort": FLOWER_PORT}]
    assert exposed["spec"]["ports"] == [{"name": "http", "port": FLOWER_PORT, "targetPort": "http"}]
    assert exposed["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert "type" not in exposed["spec"]  # inside the cluster only


def test_pods_are_those_that_their_deployment_looks_for() -> None:
    for workload in of_kind("Deployment"):
        assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
        assert container_of(workload)["image"] == "release-worker" == COMPOSE["services"]["worker"]["image"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With programs that are there: systemd looks for them."""
    ours = str(Path(sys.executable).parent)
    copies = [tmp_path / file.name for file in UNITS]
    for file, copy in zip(UNITS, copies, strict=True):
        copy.write_text(file.read_text().replace(INSTALLED.rstrip("/"), ours))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True)
    said = [line for line in verified.stderr.splitlines() if line.startswith(str(tmp_path)) or "release-worker" in line]
    assert (verified.returncode, said) == (0, [])


def test_the_compose_file_starts_the_whole_system_in_order() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "worker", "beat", "flower"}
    healthy, done = {"condition": "service_healthy"}, {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"] == {"postgres": healthy}
    assert services["worker"]["depends_on"] == {"migrate": done, "valkey": healthy}
    assert services["beat"]["depends_on"] == services["flower"]["depends_on"] == {"valkey": healthy}


def test_nothing_of_the_compose_file_is_open_to_the_network() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    for name, service in COMPOSE["services"].items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|AUTH", variable):
                assert re.search(r"\$\{[A-Z_]+:\?\}$", value), (name, variable)  # no password that everybody knows


def test_the_brokers_data_survives_and_is_never_evicted() -> None:
    command = COMPOSE["services"]["valkey"]["command"]
    assert command[1:5] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    assert COMPOSE["services"]["valkey"]["volumes"] == ["valkey:/data"]


def test_the_page_about_deploying_names_each_file_and_each_file_that_it_names_is_there() -> None:
    page = read("docs/how-to/deploy.md")
    for directory in ("compose", "kubernetes", "systemd"):
        for file in (ROOT / "deploy" / directory).iterdir():
            assert file.name in page
    named = re.findall(r"`([\w./-]+\.(?:yaml|yml|service|env|sh))`", page)
    assert named
    for name in named:
        assert list(ROOT.glob(f"deploy/**/{Path(name).name}")) or (ROOT / name).exists(), name


@pytest.mark.parametrize("page", ["docs/how-to/deploy.md", "docs/how-to/upgrade.md"])
def test_commands_of_ours_that_a_page_does_not_run_are_taken_too(page: str) -> None:
    shown = re.findall(r"release-worker ((?:db|healthcheck)(?: [a-z-]+)*)`", read(page))
    assert shown
    for arguments in shown:
        check_command(["release-worker", *arguments.split()])
