"""Freezing projects and organizations."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from release_worker.client.asking import Asking
from release_worker.domain.requests.kinds import validated
from release_worker.errors import FreezeNotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.freeze import Freeze
    from release_worker.domain.owner_name import OwnerName

T = TypeVar("T")


class Freezing(Asking):
    """The methods of a client for freezes. They need a database, and no worker: what they do is done at once, or with
    `session` when the caller's transaction commits."""

    def add_freeze(
        self,
        *,
        project: str | None = None,
        organization: str | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime,
        reason: str,
        actor: str,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Freeze":
        """Freeze all toolsets of a project (`organization/project`) or an organization (a slug or an id) from
        `starts_at`, by default now, until `ends_at`; both with their time zone.

        Meanwhile what changes live state or the current release is refused with Frozen, unless it is asked for with
        `override_freeze`. Raises OwnerNotFound, and InvalidRequest, also for a window that is over.
        """
        from release_worker.domain.freeze import NewFreeze
        from release_worker.operations.freezing import add_freeze
        from release_worker.store.clock import now_of

        def add(connection: "Connection") -> "Freeze":
            now = now_of(connection)  # operations go by this clock, too
            window = {"starts_at": now if starts_at is None else starts_at, "ends_at": ends_at}
            owner = {"project": project, "organization": organization}
            asked = validated(NewFreeze, {**owner, **window, "reason": reason, "actor": actor})
            return add_freeze(connection, asked, now=now)

        return self._at_once(add, session)

    def freezes(
        self,
        *,
        project: str | None = None,
        organization: str | None = None,
        past: bool = False,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Sequence[Freeze]":
        """The freezes that are in force or to come, in the order in which they start; with `past`, also those that are
        over. Those that hold for a project, those of an organization and its projects, or all.

        Raises OwnerNotFound.
        """
        from release_worker.operations.freezing import freezes

        owner = _owner(project, organization)
        return self._at_once(lambda connection: freezes(connection, owner, past=past), session)

    def remove_freeze(
        self, freeze_id: UUID | str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Freeze":
        """Take a freeze back, and return what it was. Raises FreezeNotFound, also for one of another organization than
        `organization`, if given."""
        from release_worker.operations.freezing import remove_freeze

        try:
            known = UUID(str(freeze_id))
        except ValueError:
            raise FreezeNotFound(freeze=str(freeze_id)) from None
        owner = _owner(None, organization)
        return self._at_once(lambda connection: remove_freeze(connection, known, owner), session)


def _owner(project: str | None, organization: str | None) -> "OwnerName | None":
    if project is None and organization is None:
        return None
    from release_worker.domain.owner_name import OwnerName

    return validated(OwnerName, {"project": project, "organization": organization})
