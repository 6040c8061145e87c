"""Asking for imports."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_worker.client.asking import Asking
from release_worker.client.connections import twice
from release_worker.client.request_handle import RequestHandle

if TYPE_CHECKING:
    from release_worker.domain.requests.import_bundle import ImportBundleResult


class BundleRequests(Asking):
    """The method of a client for bundles. It needs a database."""

    def import_bundle(
        self,
        toolset: str,
        bundle: str | bytes,
        *,
        actor: str,
        notes: str | None = None,
        labels: Mapping[str, Any] | None = None,
        allow_shared_impact: bool = False,
        expected_current_release: int | None = None,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
        organization: str | None = None,
    ) -> "RequestHandle[ImportBundleResult]":
        """Ask for `toolset` to get the content of `bundle`, the text of a bundle's file, and to be released.

        The bundle is checked here, and put into the database before the request is: there is no limit to its size.
        Raises UnsupportedContent for what is no whole bundle, IntegrityMismatch for one that was changed, NotConfigured
        for a client without a database; otherwise as `create_release`.
        """
        engine = self._engine()
        from release_worker.domain.bundle import read_bundle

        manifest = read_bundle(bundle)
        text = bundle if isinstance(bundle, str) else bundle.decode()
        from release_worker.store.bundles import keep_bundle
        from release_worker.store.engine import single_statement

        def keep() -> None:
            with single_statement(engine) as connection:
                keep_bundle(connection, manifest.checksum, text)

        twice(keep)
        fields = {
            "toolset": toolset,
            "bundle": manifest.checksum,
            "actor": actor,
            "notes": notes,
            "labels": None if labels is None else dict(labels),
            "allow_shared_impact": allow_shared_impact,
            "expected_current_release": expected_current_release,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("import_bundle", fields, None)
