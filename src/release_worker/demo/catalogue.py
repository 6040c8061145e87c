"""The real input: the tools of three consecutive releases of GitHub Enterprise Server's REST API."""

import gzip
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from release_worker.domain import canonical_json


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One catalogue: its JSON text, an array of objects with `urn`, `name` and what the tool is."""

    version: str
    text: str

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def tools(self) -> dict[str, tuple[str, Any]]:
        """Name and definition by URN, in the catalogue's order."""
        tools = canonical_json.loads(self.text)
        return {tool.pop("urn"): (tool.pop("name"), tool) for tool in tools}


def read_catalogue(version: str) -> Catalogue:
    """The catalogue `3.17`, `3.18` or `3.19`, from the package's data."""
    packed = files("release_worker").joinpath("data", f"{version}.json.gz").read_bytes()
    return Catalogue(version, gzip.decompress(packed).decode())
