"""What the files of a deployment say: Dockerfile, compose file, manifests of Kubernetes, units of systemd."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import ROOT, read

COMPOSE: Mapping[str, Any] = yaml.safe_load(read("docker-compose.yml"))
MANIFESTS = ROOT / "deploy/kubernetes"
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
INSTALLED = "/opt/release-worker/bin/"  # where the units find our programs


@dataclass(frozen=True)
class Program:
    """A program of ours that a supervisor runs: its command, those of its probes, and the variables that it gets.

    `grace` is how many seconds it has to end; None if the supervisor's default is enough.
    """

    where: str
    command: Sequence[str]
    variables: Mapping[str, str]
    probes: Sequence[Sequence[str]] = ()
    grace: float | None = None

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True)
class Dockerfile:
    """The instructions of the last stage, and what all stages copy from the repository."""

    copied: Sequence[str]
    last_stage: Mapping[str, str] = field(default_factory=dict)

    def words(self, instruction: str) -> list[str]:
        """An instruction in exec form."""
        return list(json.loads(self.last_stage[instruction]))


def dockerfile() -> Dockerfile:
    copied: list[str] = []
    stage: dict[str, str] = {}
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.MULTILINE))
    for line in filter(None, joined.splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stage = {}
        if name == "COPY" and not rest.startswith("--from"):
            copied += rest.split()[:-1]
        stage[name] = rest
    return Dockerfile(copied, stage)


def probe_of_image() -> list[str]:
    """The command of the image's HEALTHCHECK."""
    return list(json.loads(dockerfile().last_stage["HEALTHCHECK"].partition(" CMD ")[2]))


def composed() -> Iterator[Program]:
    """The services of the compose file that run our image."""
    for name, service in COMPOSE["services"].items():
        if "build" in service:
            check = service.get("healthcheck", {})
            own = [check["test"][1:]] if "test" in check else []
            probes = [] if check.get("disable") else own or [probe_of_image()]
            yield Program(
                f"compose {name}",
                service.get("command") or dockerfile().words("CMD"),
                service["environment"],
                probes,
                float(service["stop_grace_period"].removesuffix("s")),
            )


def manifests() -> list[dict[str, Any]]:
    """Every document of the manifests, but that of kustomize."""
    files = sorted(set(MANIFESTS.glob("*.yaml")) - {MANIFESTS / "kustomization.yaml"})
    return [document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [document for document in manifests() if document["kind"] in kinds]


def container_of(workload: Mapping[str, Any]) -> dict[str, Any]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def in_kubernetes() -> Iterator[Program]:
    for workload in of_kind("Deployment", "Job"):
        container = container_of(workload)
        probes = [container.get(f"{name}Probe", {}) for name in ("startup", "readiness", "liveness")]
        yield Program(
            f"kubernetes {workload['metadata']['name']}",
            container["args"],
            _variables_of(container),
            [probe["exec"]["command"] for probe in probes if "exec" in probe],
            workload["spec"]["template"]["spec"].get("terminationGracePeriodSeconds"),
        )


def _variables_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Raises KeyError for a name or a key that no ConfigMap and no Secret has."""
    kept = {
        (document["kind"], document["metadata"]["name"]): document.get("data") or document["stringData"]
        for document in of_kind("ConfigMap", "Secret")
    }
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        [reference] = source.values()
        found |= kept[kind, reference["name"]]
    for variable in container.get("env", ()):
        [(key, reference)] = variable["valueFrom"].items()
        kind = "ConfigMap" if key == "configMapKeyRef" else "Secret"
        found[variable["name"]] = kept[kind, reference["name"]][reference["key"]]
    return found


@dataclass(frozen=True)
class Unit:
    """A unit of systemd; a setting that is given several times has several values."""

    file: Path
    settings: Mapping[str, Sequence[str]]

    def one(self, name: str) -> str:
        [value] = self.settings[name]
        return value


def unit(file: Path) -> Unit:
    settings: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return Unit(file, settings)


def under_systemd() -> Iterator[Program]:
    for one in map(unit, UNITS):
        command = shlex.split(one.one("ExecStart"))
        files = [UNITS[0].parent / Path(name).name for name in one.settings["EnvironmentFile"]]
        variables = {name: value for file in files for name, value in variables_in(file).items()}
        grace = one.settings.get("TimeoutStopSec", [None])[0]
        name = command[0].removeprefix(INSTALLED)
        yield Program(
            f"systemd {one.file.stem}", [name, *command[1:]], variables, grace=None if grace is None else float(grace)
        )


def variables_in(file: Path) -> dict[str, str]:
    """An environment file of systemd's, without its comments."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}


PROGRAMS = [*composed(), *in_kubernetes(), *under_systemd()]


def programs(word: str) -> list[Program]:
    """Those whose command has this word: `worker`, `beat`, `flower` or `upgrade`."""
    return [program for program in PROGRAMS if word in program.command]
