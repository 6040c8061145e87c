"""What a release holds, as the same SQL expressions that stand for live content, and whether it is still whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.digests import BUILT_IN, SOURCE_STATE, StateDigests, release_digest
from release_worker.domain.release import Release
from release_worker.errors import IntegrityMismatch, UnsupportedContent
from release_worker.store.parts import BUILT_IN_PARTS, ComponentState, Part
from release_worker.store.parts.component_state import component_state
from release_worker.store.parts.part import content_as_written, content_today
from release_worker.store.statements import parsed

PlugIns = Sequence[ComponentState]
_ROLE = "target"
_NONE: Mapping[str, str] = {}


def captured_contents(names: Sequence[str], plug_ins: PlugIns, role: str = _ROLE) -> dict[str, str]:
    """SQL: the content of each component in the release whose parameters are those of `role`, in today's form."""
    return {name: content_today(_part_of(name, plug_ins), name, role) for name in names}


def captured_parameters(release: Release, role: str = _ROLE) -> dict[str, object]:
    """The parameters that `captured_contents` of the same role refers to."""
    return {
        f"{role}_release_id": release.id,
        f"{role}_toolset_version_id": release.toolset_version_id,
        f"{role}_source_state_id": release.source_state_id,
        f"{role}_global_variations_version_id": release.global_variations_version_id,
        f"{role}_toolset_variations_version_id": release.toolset_variations_version_id,
    }


def _part_of(component: str, plug_ins: PlugIns) -> Part:
    """The part that holds a component; a plug-in that is not installed here is read as it was written."""
    for part in (*BUILT_IN_PARTS, *plug_ins):
        if component in _components(part):
            return part
    return component_state(component, "toolset")


def _components(part: Part) -> list[str]:
    return list(dict.fromkeys(name for form in part.forms for name in form.contents))


@dataclass(frozen=True, slots=True)
class Integrity:
    """The digest of every component's content in a release, recomputed and in today's form; the components of which the
    release says something; warnings; and the digests of live contents, of the same moment."""

    digests: StateDigests
    said: frozenset[str]
    doubts: tuple[str, ...]
    live: StateDigests


@dataclass(frozen=True, slots=True)
class _Stored:
    """The digest and the form that a row of a part says it has."""

    digest: str
    form: int


def check_integrity(
    connection: Connection,
    release: Release,
    plug_ins: PlugIns,
    *,
    live: Mapping[str, str] = _NONE,
    parameters: Mapping[str, object] = _NONE,
) -> Integrity:
    """Recompute every digest of a release from what is stored, in the form in which each part was written; and in the
    same round trip the digests of `live` contents, SQL by component name with these `parameters`.

    Raises IntegrityMismatch, naming each object whose stored digest is not that of its content, and UnsupportedContent
    for a part that newer software wrote.
    """
    stored, written, live_digests = _read(connection, release, plug_ins, live, parameters)
    parts = _parts(stored, plug_ins)
    _refuse_newer(release, stored, parts)
    computed = {
        part.name: part.digest(written, part.forms[stored[part.name].form - 1]) if part.name in stored else None
        for part in parts
    }
    present = {
        part.name: str(written[part.name]) for part in parts if part.name not in BUILT_IN_NAMES and written[part.name]
    }
    whole = release_digest(**{name: computed[name] for name in BUILT_IN_NAMES}, plug_ins=present)
    wrong = [
        {"object": f"{name} of release {release.release_number}", "stored": stored[name].digest, "computed": digest}
        for name, digest in computed.items()
        if name in stored and stored[name].digest != digest
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
    today = written if _is_of_today(stored, parts) else _digests_today(connection, release, parts)
    return Integrity(today, _said(release, stored), tuple(doubts), live_digests)


BUILT_IN_NAMES = tuple(part.name for part in BUILT_IN_PARTS)


def digest_today(connection: Connection, release: Release, plug_ins: PlugIns) -> str:
    """The digest that the release's content has in today's form: its own, unless older software wrote it. Raises
    UnsupportedContent for a part that newer software wrote."""
    stored = _stored_parts(connection, release)
    parts = _parts(stored, plug_ins)
    _refuse_newer(release, stored, parts)
    return release.digest if _is_of_today(stored, parts) else _digests_today(connection, release, parts).release


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A part of a release as it was written: `contents` are SQL by component, with the parameters of the release."""

    name: str
    form: int
    digest: str
    contents: Mapping[str, str]


def written_parts(connection: Connection, release: Release, plug_ins: PlugIns) -> list[WrittenPart]:
    """Every part that the release has. Raises UnsupportedContent for one that newer software wrote."""
    stored = _stored_parts(connection, release)
    parts = _parts(stored, plug_ins)
    _refuse_newer(release, stored, parts)
    found = []
    for part in parts:
        if part.name in stored:
            form = stored[part.name].form
            names = part.forms[form - 1].contents
            contents = {name: content_as_written(part, name, _ROLE) for name in names}
            found.append(WrittenPart(part.name, form, stored[part.name].digest, contents))
    return found


def _parts(stored: Mapping[str, _Stored], plug_ins: PlugIns) -> list[Part]:
    return [*BUILT_IN_PARTS, *(_part_of(name, plug_ins) for name in stored if name not in BUILT_IN_NAMES)]


def _is_of_today(stored: Mapping[str, _Stored], parts: Sequence[Part]) -> bool:
    return all(stored[part.name].form == len(part.forms) for part in parts if part.name in stored)


def _refuse_newer(release: Release, stored: Mapping[str, _Stored], parts: Sequence[Part]) -> None:
    newer = [part.name for part in parts if part.name in stored and stored[part.name].form > len(part.forms)]
    if newer:
        reason = f"newer software wrote {', '.join(newer)} of release {release.release_number}"
        raise UnsupportedContent(reason=reason)


def _read(
    connection: Connection,
    release: Release,
    plug_ins: PlugIns,
    live: Mapping[str, str],
    parameters: Mapping[str, object],
) -> tuple[Mapping[str, _Stored], StateDigests, StateDigests]:
    """What the rows of the parts say, the digests of their contents as they were written, and those of live contents:
    in one round trip, and one more if a plug-in is not installed here."""
    installed = (*BUILT_IN_PARTS, *plug_ins)
    contents = _as_written(installed)
    said = f"(SELECT json_object_agg(name, json_build_array(digest, form)) FROM ({_STORED}) AS stored)"
    columns = (said, *map(_digest, contents.values()), *map(_digest, live.values()))
    given = {**parameters, **captured_parameters(release)}
    told, *digests = connection.execute(parsed(f"SELECT {', '.join(columns)}"), given).one()
    stored = {name: _Stored(digest, form) for name, (digest, form) in told.items()}
    written = dict(zip(contents, digests[: len(contents)], strict=True))
    if others := [part for part in _parts(stored, plug_ins) if part not in installed]:
        written |= _digests(connection, release, _as_written(others)).components
    return stored, StateDigests(written), StateDigests(dict(zip(live, digests[len(contents) :], strict=True)))


def _as_written(parts: Sequence[Part]) -> dict[str, str]:
    return {name: content_as_written(part, name, _ROLE) for part in parts for name in _components(part)}


def _digests_today(connection: Connection, release: Release, parts: Sequence[Part]) -> StateDigests:
    contents = {name: content_today(part, name, _ROLE) for part in parts for name in part.forms[-1].contents}
    return _digests(connection, release, contents)


def _digests(connection: Connection, release: Release, contents: Mapping[str, str]) -> StateDigests:
    columns = ", ".join(map(_digest, contents.values()))
    row = connection.execute(parsed(f"SELECT {columns}"), captured_parameters(release)).one()
    return StateDigests(dict(zip(contents, row, strict=True)))


def _digest(content: str) -> str:
    return f"ours.release_worker_digest({content})"


# SQL: a query of what the rows of the parts say, of those of which there is a row.
_STORED = " UNION ALL ".join(
    (
        *(f"SELECT '{part.name}' AS name, digest, form FROM {part.source(_ROLE)}" for part in BUILT_IN_PARTS),
        """
        SELECT c.component, s.digest, s.form FROM ours.component_states s
        JOIN ours.release_components c ON c.component_state_id = s.id WHERE c.release_id = :target_release_id
        """,
    )
)


def _stored_parts(connection: Connection, release: Release) -> Mapping[str, _Stored]:
    rows = connection.execute(parsed(_STORED), captured_parameters(release))
    return {name: _Stored(digest, form) for name, digest, form in rows}


def said_by(connection: Connection, release: Release) -> frozenset[str]:
    """The components of which the release says something: not deployment and system if it captured no source, not a
    plug-in that was not there yet."""
    return _said(release, _stored_parts(connection, release))


def _said(release: Release, stored: Mapping[str, _Stored]) -> frozenset[str]:
    plug_ins = stored.keys() - set(BUILT_IN_NAMES)
    return frozenset(BUILT_IN) - (frozenset() if release.source_state_id else frozenset(SOURCE_STATE)) | plug_ins
