"""Write a release as a bundle."""

from datetime import UTC

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.bundle import BundledPart, Manifest, Origin
from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.errors import UnsupportedContent
from release_worker.state.registry import Registry
from release_worker.state.states import State
from release_worker.store.captured import WrittenPart, captured_parameters, check_integrity, written_parts
from release_worker.store.owners.naming import find_toolset
from release_worker.store.parts.part import object_in_sql
from release_worker.store.releases import find_release


def export_bundle(
    connection: Connection, toolset: str, number: int, registry: Registry, *, organization: str | None = None
) -> tuple[Manifest, str]:
    """What the bundle says of itself, and its canonical text, which PostgreSQL puts together. In one snapshot.

    Raises ToolsetNotFound, also for a toolset of another `organization`, ReleaseNotFound, IntegrityMismatch, and
    UnsupportedContent for a release that did not capture all.
    """
    subject = find_toolset(connection, toolset, organization=organization)
    release = find_release(connection, subject, number)
    if release.source_state_id is None:
        raise UnsupportedContent(reason=f"release {number} captured no deployment and no system")
    check_integrity(connection, release, registry.parts)
    parts = written_parts(connection, release, registry.parts)
    contents = {name: content for part in parts for name, content in part.contents.items()}
    written = State(contents, captured_parameters(release))
    manifest = _manifest(subject, release, parts, dict(written.digests(connection).components)).sealed()
    query = f"""
        SELECT CAST(ours.release_worker_canonical(
            CAST(:manifest AS jsonb) || jsonb_build_object('contents', {object_in_sql(contents)})) AS text)
    """
    text = written.query(connection, query, manifest=canonical_json.dumps(manifest.model_dump())).scalar_one()
    return manifest, str(text)


def _manifest(subject: Subject, release: Release, parts: list[WrittenPart], digests: dict[str, str | None]) -> Manifest:
    return Manifest(
        release=Origin(
            toolset=subject.path,
            release_number=release.release_number,
            kind=release.kind,
            notes=release.notes,
            labels=release.labels,
            released_by=release.released_by,
            created_at=release.created_at.astimezone(UTC).isoformat(),
        ),
        digest=release.digest,
        parts={
            part.name: BundledPart(form=part.form, digest=part.digest, components=list(part.contents)) for part in parts
        },
        digests=digests,
    )
