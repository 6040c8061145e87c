"""A file is a whole bundle that nobody changed, or is refused with what is wrong."""

import json
from typing import Any

import pytest

from release_worker.domain import canonical_json
from release_worker.domain.bundle import BundledPart, Manifest, Origin, read_bundle
from release_worker.domain.digests import NOTHING, StateDigests
from release_worker.errors import IntegrityMismatch, UnsupportedContent

CONTENTS: dict[str, Any] = {
    "tools": {"urns": ["tools:http:a:b"], "positions": [0]},
    "resources": {"urns": [], "positions": []},
    "settings": {"name": "Billing", "description": None, "settings": {"timeout": 30}},
    "deployment": None,
    "system": {"config": {}, "prompts": {}},
    "toolset_variations": {"tools:http:a:b": {"name": "b"}},
    "flags": {"beta": True},
}


def bundle() -> dict[str, Any]:
    """One that nobody changed: a project without a deployment, no global variations, and a plug-in."""
    digests = StateDigests({n: None if v is None else canonical_json.digest(v) for n, v in CONTENTS.items()})
    components = {
        "toolset_version": ("tools", "resources", "settings"),
        "source_state": ("deployment", "system"),
        "toolset_variations": ("toolset_variations",),
        "flags": ("flags",),
    }
    part_digests = {
        "toolset_version": digests.toolset_version,
        "source_state": digests.source_state,
        "toolset_variations": digests["toolset_variations"] or NOTHING,
        "flags": digests["flags"] or NOTHING,
    }
    origin = Origin(
        toolset="acme/payments/billing", release_number=7, kind="release", notes=None, labels={"n": 1},
        released_by="ci", created_at="2026-11-27T12:00:00+00:00",
    )  # fmt: skip
    parts = {
        name: BundledPart(form=1, digest=part_digests[name], components=list(of)) for name, of in components.items()
    }
    digest = digests.release
    manifest = Manifest(release=origin, digest=digest, parts=parts, digests=dict(digests.components)).sealed()
    return {**manifest.model_dump(), "contents": CONTENTS}


def changed(*path: str, to: object) -> str:
    found = json.loads(canonical_json.dumps(bundle()))
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return canonical_json.dumps(found)


def without(name: str) -> str:
    return canonical_json.dumps({key: value for key, value in bundle().items() if key != name})


def test_a_whole_bundle_is_read_in_whatever_layout() -> None:
    text = canonical_json.dumps(bundle())
    assert read_bundle(text) == read_bundle(json.dumps(json.loads(text), indent=4).encode())
    assert read_bundle(text).release.release_number == 7


@pytest.mark.parametrize("component", CONTENTS)
def test_a_changed_content_is_named(component: str) -> None:
    with pytest.raises(IntegrityMismatch, match="the bundle was changed") as refused:
        read_bundle(changed("contents", component, to={"other": 1}))
    assert [one["object"] for one in refused.value.details["objects"]] == [f"content of {component} in the bundle"]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("digests", "tools"), "0" * 64, "toolset_version in the bundle"),
        (("digests", "deployment"), "0" * 64, "source_state in the bundle"),
        (("parts", "source_state", "digest"), "0" * 64, "source_state in the bundle"),
        (("parts", "flags", "digest"), "0" * 64, "flags in the bundle"),
        (("digest",), "0" * 64, "release in the bundle"),
        (("release", "notes"), "forged", "description in the bundle"),
        (("release", "labels", "n"), 2, "description in the bundle"),
        (("parts", "flags", "form"), 2, "description in the bundle"),
        (("checksum",), "0" * 64, "description in the bundle"),
    ],
)
def test_a_changed_statement_is_named(path: tuple[str, ...], value: object, named: str) -> None:
    with pytest.raises(IntegrityMismatch) as refused:
        read_bundle(changed(*path, to=value))
    assert named in [one["object"] for one in refused.value.details["objects"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        "7",
        canonical_json.dumps(bundle())[:-100],
        b"\xff\xfe\x00",
        '{"format": "something else"}',
        changed("version", to=2),
        changed("more", to=1),
        changed("parts", "more", to={"form": 1, "digest": "0", "components": ["x"]}),
        changed("contents", "more", to=1),
        canonical_json.dumps(bundle()).encode("utf-16"),
        canonical_json.dumps(bundle()).encode("utf-8-sig"),
        changed("contents", "settings", "name", to="a\x00b"),
        changed("contents", "settings", "name", to="a?b").replace("a?b", "a\\ud800b"),
        without("contents"),
        without("parts"),
        without("release"),
        without("digests"),
    ],
)
def test_what_is_no_whole_bundle_is_refused_in_one_sentence(text: str | bytes) -> None:
    with pytest.raises(UnsupportedContent, match=r"^this is not a bundle of release-worker: ") as refused:
        read_bundle(text)
    assert "\n" not in str(refused.value)


def with_an_empty_part(name: str) -> str:
    """All its digests are right, as anybody can make them."""
    made = bundle()
    made["parts"][name] = {"form": 1, "digest": NOTHING, "components": [name]}
    made["digests"][name] = None
    described = {key: value for key, value in made.items() if key not in ("contents", "checksum")}
    return canonical_json.dumps(
        {**described, "contents": {**CONTENTS, name: None}, "checksum": canonical_json.digest(described)}
    )


def test_a_part_of_another_plug_in_is_read() -> None:
    assert "rate_limits2" in read_bundle(with_an_empty_part("rate_limits2")).parts


@pytest.mark.parametrize(
    "name", ['x" FROM toolsets --', "a:b", "it's", "", "A", "2", "x" * 64, "x\n", "{name}", "p%(x)s"]
)
def test_what_could_be_anything_else_than_a_name_in_sql_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedContent, match=r"^this is not a bundle of release-worker: no part is called"):
        read_bundle(with_an_empty_part(name))
