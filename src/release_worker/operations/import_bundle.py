"""Make the content of a bundle live, and release it: as a rollback to a release of another database."""

from sqlalchemy import Connection

from release_worker.domain.bundle import Manifest
from release_worker.domain.digests import PARTS
from release_worker.domain.requests.fields import LONGEST_PATH
from release_worker.domain.requests.import_bundle import ImportBundle, ImportBundleResult
from release_worker.domain.subject import ALL_SCOPES
from release_worker.domain.text import printable
from release_worker.errors import ComponentFailed, IntegrityMismatch, SharedStateImpact, UnsupportedContent
from release_worker.operations.expectations import check_expected_release, check_not_frozen
from release_worker.operations.restoring import hold_live_rows
from release_worker.operations.rollback.shared_impact import reach, shared_impact
from release_worker.operations.taking_over import Incoming, TakenOver, TakeOver, plan_take_over, take_over
from release_worker.state.registry import Registry
from release_worker.state.states import State, live_state
from release_worker.state.work import Work
from release_worker.store.bundles import bundled_content, find_manifest, refusing_what_does_not_fit
from release_worker.store.capturing import Stamp
from release_worker.store.owners.holding import hold_owners
from release_worker.store.parts import BUILT_IN_PARTS
from release_worker.store.parts.part import NOTHING_WRITTEN, lifted


def import_bundle(work: Work, request: ImportBundle) -> ImportBundleResult:
    """Hold everything, since a bundle says something of everything; check it, plan, restore, read back, release.

    The digest of the release is that of the exported one, unless parts of the bundle have an older form. Raises
    ToolsetNotFound, InvalidRequest for a bundle that is not there, IntegrityMismatch, UnsupportedContent,
    ComponentFailed for plug-ins that are only here or only in the bundle, StaleState, Frozen, SharedStateImpact and
    VersionConflict.
    """
    connection, registry = work.connection, work.registry
    with work.timings.step("hold"):
        subject = hold_owners(connection, work.toolset_id, written=ALL_SCOPES)
        hold_live_rows(connection, registry, subject, written=ALL_SCOPES)
    manifest = find_manifest(connection, request.bundle)
    bundled = _bundled_state(connection, manifest, registry, request.bundle)
    origin = f"release {manifest.release.release_number} of {printable(manifest.release.toolset, LONGEST_PATH)}"
    with refusing_what_does_not_fit():
        plan = plan_take_over(work, subject, Incoming(bundled, f"the import of {origin}"))
    check_expected_release(request.expected_current_release, plan.current)
    check_not_frozen(plan.freeze, request.override_freeze)
    _refuse_what_would_stay(plan, manifest, registry)
    with refusing_what_does_not_fit():
        warnings = _refuse_shared_impact(connection, registry, plan, request)
    stamp = Stamp(
        "release",
        request.actor,
        request_id=work.request_id,
        notes=f"imported {origin}" if request.notes is None else request.notes,
        labels=request.labels,
    )
    with refusing_what_does_not_fit():
        done = take_over(work, plan, stamp)
    return _result(plan, done, warnings)


def _bundled_state(connection: Connection, manifest: Manifest, registry: Registry, bundle: str) -> State:
    """What the bundle holds of every component, in today's form, after a check of its digests."""
    parameters = {"bundle": bundle}
    foreign = [name for name in manifest.plug_ins() if manifest.digests[name] and name not in registry.names]
    if foreign:
        reason = "the bundle holds its state, and no such plug-in is installed here"
        raise ComponentFailed(component=", ".join(foreign), reason=reason)
    parts = (*BUILT_IN_PARTS, *registry.parts)
    # Of no other name is there anything that could be restored, so that none gets into SQL.
    known = {name for part in parts for form in part.forms for name in form.contents}
    written = State({name: bundled_content(name) for name in manifest.digests if name in known}, parameters)
    manifest.check_contents(written.digests(connection).components)
    contents = {}
    for part in parts:
        bundled = manifest.parts.get(part.name)
        if bundled is None and part.name not in PARTS:
            continue  # a plug-in that the bundle knows nothing of
        form = len(part.forms) if bundled is None else bundled.form
        if not 1 <= form <= len(part.forms):
            raise UnsupportedContent(reason=f"newer software wrote {part.name} of the bundle")
        for name in part.forms[-1].contents:
            content = written.contents.get(name, NOTHING_WRITTEN)
            contents[name] = lifted(part.forms[form - 1 :], name, content)
    return State(contents, parameters)


def _refuse_what_would_stay(plan: TakeOver, manifest: Manifest, registry: Registry) -> None:
    """Raises ComponentFailed for live state of plug-ins that the bundle knows nothing of: with it, live state could not
    be what was exported. Raises IntegrityMismatch if it would not be so for another reason."""
    staying = [one.name for one in registry.plug_ins if one.name not in plan.incoming.state and plan.before[one.name]]
    if staying:
        reason = "the bundle was made without this plug-in, and the toolset has state of it"
        raise ComponentFailed(component=", ".join(staying), reason=reason)
    if plan.expected.release != manifest.digest and not _lifts_something(manifest, registry):
        wrong = [{"object": "release", "stored": manifest.digest, "computed": plan.expected.release}]
        raise IntegrityMismatch("live state would not have the digest of the bundle", objects=wrong)


def _lifts_something(manifest: Manifest, registry: Registry) -> bool:
    forms = {part.name: len(part.forms) for part in (*BUILT_IN_PARTS, *registry.parts)}
    return any(part.form < forms.get(name, 1) for name, part in manifest.parts.items())


def _refuse_shared_impact(
    connection: Connection, registry: Registry, plan: TakeOver, request: ImportBundle
) -> tuple[str, ...]:
    """Raises SharedStateImpact unless that is allowed; whom the import reaches, in words."""
    live = live_state(registry, plan.subject)
    affected = shared_impact(
        connection,
        {name: difference.keys for name, difference in plan.differing.items()},
        live=live,
        target=plan.incoming.state.over(live),
        registry=registry,
    )
    if affected and not request.allow_shared_impact:
        paths = ", ".join(toolset["path"] for toolset in affected)
        raise SharedStateImpact(f"the import would change what other toolsets serve: {paths}", toolsets=affected)
    return tuple(reach(affected))


def _result(plan: TakeOver, done: TakenOver, warnings: tuple[str, ...]) -> ImportBundleResult:
    return ImportBundleResult(
        release_id=done.release.id,
        release_number=done.release.release_number,
        toolset_id=plan.subject.toolset_id,
        toolset_version=done.release.toolset_version,
        digest=done.release.digest,
        created=done.created,
        backup_release_number=done.backup.release_number if done.backup else None,
        changes=plan.changes,
        warnings=warnings,
    )
