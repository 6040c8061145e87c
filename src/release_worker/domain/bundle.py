"""A release as one document that explains itself: docs/bundles.md describes it for readers without this program.

Everything in it is under a digest: the contents under those of `digests`, these under those of `parts`, these under
that of the release, and all of them, with what else is said of the release, under the `checksum`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from release_worker.domain import canonical_json
from release_worker.domain.digests import NOTHING, PARTS, SOURCE_STATE, TOOLSET_VERSION, release_digest
from release_worker.domain.text import check_storable
from release_worker.errors import IntegrityMismatch, UnsupportedContent

FORMAT, VERSION = "release_worker.bundle", 1
# The parts whose digest is that of an object of their components' digests; that of any other is its component's own.
_COMPOSED = ("toolset_version", "source_state")
# What any part and component is called. Names of components become names in SQL: this is the only door for them that
# a stranger's text can come through.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

Digests = Mapping[str, str | None]


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Origin(_Described):
    """Which release this was, and where."""

    toolset: str
    release_number: int
    kind: str
    notes: str | None
    labels: dict[str, Any]
    released_by: str
    created_at: str


class BundledPart(_Described):
    """A part of the release: in which form it was written, and what is in it."""

    form: int
    digest: str
    components: list[str]


class Manifest(_Described):
    """All of a bundle but the contents. `digests`: of each component's content, None if it has none; `digest`: of the
    release."""

    format: Literal["release_worker.bundle"] = "release_worker.bundle"
    version: Literal[1] = 1
    release: Origin
    digest: str
    parts: dict[str, BundledPart]
    digests: dict[str, str | None]
    checksum: str = ""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """That of a document with or without its contents. Raises UnsupportedContent for what is no bundle that this
        software can read, and IntegrityMismatch if it does not have the digests that it states."""
        if document.get("format") != FORMAT:
            raise not_a_bundle(f"its format is not {FORMAT}")
        if document.get("version") != VERSION:
            raise not_a_bundle(f"newer software wrote it: this one reads version {VERSION}")
        try:
            manifest = cls.model_validate({name: value for name, value in document.items() if name != "contents"})
        except ValidationError as error:
            place = ".".join(str(step) for step in error.errors()[0]["loc"])
            raise not_a_bundle(f"{place}: {error.errors()[0]['msg']}") from None
        manifest._check_structure()
        _refuse(manifest._inconsistent())
        return manifest

    def sealed(self) -> Self:
        """With its checksum."""
        return self.model_copy(update={"checksum": self._computed_checksum()})

    def check_contents(self, computed: Digests) -> None:
        """Raises IntegrityMismatch, naming each content whose digest is not the stated one."""
        _refuse(
            _wrong(f"content of {name} in the bundle", stated, computed.get(name))
            for name, stated in self.digests.items()
            if computed.get(name) != stated
        )

    def plug_ins(self) -> list[str]:
        """The components that plug-ins added."""
        return [name for name in self.parts if name not in PARTS]

    def _check_structure(self) -> None:
        listed = [name for part in self.parts.values() for name in part.components]
        if sorted(listed) != sorted(self.digests) or any(not part.components for part in self.parts.values()):
            raise not_a_bundle("parts and digests do not name the same components")
        strange = [name for name in (*self.parts, *listed) if not _NAME.fullmatch(name)]
        if strange:
            raise not_a_bundle(f"no part is called {strange[0][:80]!r}")
        for name, components in (("toolset_version", TOOLSET_VERSION), ("source_state", SOURCE_STATE)):
            if name not in self.parts or not set(components) <= set(self.parts[name].components):
                raise not_a_bundle(f"it lacks {name}")

    def _inconsistent(self) -> Iterator[dict[str, Any]]:
        for name, part in self.parts.items():
            digests = {component: self.digests[component] or NOTHING for component in part.components}
            computed = canonical_json.digest(digests) if name in _COMPOSED else digests[part.components[0]]
            if computed != part.digest:
                yield _wrong(f"{name} in the bundle", part.digest, computed)
        stated = {name: self.parts[name].digest if name in self.parts else None for name in PARTS}
        plug_ins = {name: str(self.digests[name]) for name in self.plug_ins() if self.digests[name]}
        whole = release_digest(**stated, plug_ins=plug_ins)
        if whole != self.digest:
            yield _wrong("release in the bundle", self.digest, whole)
        if (checksum := self._computed_checksum()) != self.checksum:
            yield _wrong("description in the bundle", self.checksum, checksum)

    def _computed_checksum(self) -> str:
        return canonical_json.digest(self.model_dump(exclude={"checksum"}))


def read_bundle(text: str | bytes) -> Manifest:
    """What a bundle says of itself, after a check of all its digests. Raises UnsupportedContent for what is no whole
    bundle, and IntegrityMismatch, naming what was changed."""
    try:
        document = canonical_json.loads(text.decode() if isinstance(text, bytes) else text)
    except ValueError:  # also of bytes that are no UTF-8
        raise not_a_bundle("it is not JSON; perhaps it was cut off") from None
    try:
        check_storable(canonical_json.dumps(document))
    except ValueError:
        raise not_a_bundle("it holds characters that PostgreSQL does not take") from None
    if not isinstance(document, dict):
        raise not_a_bundle("it is not a JSON object")
    manifest = Manifest.read(document)
    contents = document.get("contents")
    if not isinstance(contents, dict) or contents.keys() != manifest.digests.keys():
        raise not_a_bundle("its contents are not those of its parts")
    manifest.check_contents(
        {name: None if value is None else canonical_json.digest(value) for name, value in contents.items()}
    )
    return manifest


def not_a_bundle(reason: str) -> UnsupportedContent:
    """That this is no bundle that can be imported."""
    return UnsupportedContent(f"this is not a bundle of release-worker: {reason}", reason=reason)


def _wrong(name: str, stored: str | None, computed: str | None) -> dict[str, Any]:
    return {"object": name, "stored": stored, "computed": computed}


def _refuse(wrong: Iterator[dict[str, Any]]) -> None:
    objects = list(wrong)
    if objects:
        named = ", ".join(one["object"] for one in objects)
        raise IntegrityMismatch(f"the bundle was changed after it was exported: {named}", objects=objects)
