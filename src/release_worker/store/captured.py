"""What a release holds, as the same SQL expressions that stand for live content, and whether it is still whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.digests import BUILT_IN, PARTS, SOURCE_STATE, StateDigests, release_digest
from release_worker.domain.release import Release
from release_worker.errors import IntegrityMismatch
from release_worker.store.statements import parsed

_OF_VERSION = "SELECT {} FROM toolset_versions WHERE id = :{}_toolset_version_id"
_OF_SOURCE = "SELECT {} FROM source_states WHERE id = :{}_source_state_id"
_OF_VARIATIONS = "SELECT config FROM variation_versions WHERE id = :{}_{}_version_id"
_OF_PLUG_IN = """
    SELECT nullif(content, 'null') FROM component_states s JOIN release_components c ON c.component_state_id = s.id
    WHERE c.release_id = :{}_release_id AND c.component = '{}'
"""


def captured_contents(names: Sequence[str], role: str = "target") -> dict[str, str]:
    """SQL: the content of each component in the release whose parameters are those of `role`."""
    return {name: f"({_content(name, role)})" for name in names}


def captured_parameters(release: Release, role: str = "target") -> dict[str, object]:
    """The parameters that `captured_contents` of the same role refers to."""
    return {
        f"{role}_release_id": release.id,
        f"{role}_toolset_version_id": release.toolset_version_id,
        f"{role}_source_state_id": release.source_state_id,
        f"{role}_global_variations_version_id": release.global_variations_version_id,
        f"{role}_toolset_variations_version_id": release.toolset_variations_version_id,
    }


def _content(name: str, role: str) -> str:
    match name:
        case "tools" | "resources":
            kind = name.removesuffix("s")
            urns, positions = f"{kind}_urns", f"{kind}_positions"
            numbered = f"ARRAY(SELECT generate_series(0, cardinality({urns}) - 1))"
            return _OF_VERSION.format(
                f"jsonb_build_object('urns', to_jsonb({urns}), 'positions', "
                f"to_jsonb(coalesce({positions}, {numbered})))",
                role,
            )
        case "settings":
            return _OF_VERSION.format(
                "jsonb_build_object('name', name, 'description', description, 'settings', settings)", role
            )
        case "deployment":
            return _OF_SOURCE.format("nullif(deployment_snapshot, 'null')", role)
        case "system":
            return _OF_SOURCE.format("system_snapshot", role)
        case "global_variations" | "toolset_variations":
            return _OF_VARIATIONS.format(role, name)
        case _:
            return _OF_PLUG_IN.format(role, name)


@dataclass(frozen=True, slots=True)
class Integrity:
    """The digest of every component's content in a release, recomputed, and warnings."""

    digests: StateDigests
    doubts: tuple[str, ...]


def check_integrity(connection: Connection, release: Release) -> Integrity:
    """Recompute every digest of a release from what is stored.

    Raises IntegrityMismatch, naming each object whose stored digest is not that of its content.
    """
    stored = _stored_digests(connection, release)
    computed = _computed_digests(connection, release, [*BUILT_IN, *(name for name in stored if name not in PARTS)])
    parts = {
        "toolset_version": computed.toolset_version,
        "source_state": computed.source_state if release.source_state_id else None,
        "global_variations": computed["global_variations"],
        "toolset_variations": computed["toolset_variations"],
    }
    whole = release_digest(**parts, plug_ins=computed.plug_ins)
    wrong = [
        {"object": f"{name} of release {release.release_number}", "stored": stored.get(name), "computed": digest}
        for name, digest in (parts | computed.plug_ins).items()
        if stored.get(name) != digest
    ]
    doubts = []
    if whole != release.digest and release.source_state_id is None:
        # Older software made such releases, and may have composed their digest otherwise. The parts prove themselves.
        doubts.append(f"release {release.release_number} has a digest of another form; its parts are intact")
    elif whole != release.digest:
        wrong.append({"object": f"release {release.release_number}", "stored": release.digest, "computed": whole})
    if wrong:
        named = ", ".join(str(one["object"]) for one in wrong)
        raise IntegrityMismatch(f"stored content does not have its digest: {named}", objects=wrong)
    return Integrity(computed, tuple(doubts))


def _computed_digests(connection: Connection, release: Release, names: Sequence[str]) -> StateDigests:
    contents = captured_contents(names)
    columns = ", ".join(f'release_worker_digest({content}) AS "{name}"' for name, content in contents.items())
    row = connection.execute(parsed(f"SELECT {columns}"), captured_parameters(release)).one()
    return StateDigests(dict(zip(contents, row, strict=True)))


def _stored_digests(connection: Connection, release: Release) -> Mapping[str, str | None]:
    parts = """
        SELECT 'toolset_version', digest FROM toolset_versions WHERE id = :target_toolset_version_id
        UNION ALL SELECT 'source_state', digest FROM source_states WHERE id = :target_source_state_id
        UNION ALL SELECT 'global_variations', digest FROM variation_versions
                  WHERE id = :target_global_variations_version_id
        UNION ALL SELECT 'toolset_variations', digest FROM variation_versions
                  WHERE id = :target_toolset_variations_version_id
        UNION ALL SELECT c.component, s.digest FROM component_states s
                  JOIN release_components c ON c.component_state_id = s.id WHERE c.release_id = :target_release_id
    """
    return dict(connection.execute(parsed(parts), captured_parameters(release)).all())


def restorable(connection: Connection, release: Release, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the components of which the release says something: not deployment and system where it captured no
    source, not a plug-in that was not there yet."""
    linked = "SELECT component FROM release_components WHERE release_id = :target_release_id"
    plug_ins = set(connection.execute(parsed(linked), captured_parameters(release)).scalars())
    unknown = () if release.source_state_id else SOURCE_STATE
    return tuple(name for name in names if name not in unknown and (name in BUILT_IN or name in plug_ins))
