"""Schedules: added and steered through the client."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from uuid_utils.compat import uuid7

from release_worker.broker.publishing import message_of_scheduled
from release_worker.client.asking import Asking, Handle
from release_worker.domain.requests.kinds import validated

if TYPE_CHECKING:
    from release_worker.client.doors import OpenTransaction
    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.schedules.made import ScheduledRequest
    from release_worker.domain.schedules.misfires import Misfire
    from release_worker.domain.schedules.schedule import Overlap, Schedule

T = TypeVar("T")


class Scheduling(Asking):
    """The methods of a client for schedules. They need a database. They write the table of schedules at once, or with
    `session` when the caller's transaction commits: no worker is asked."""

    def add_schedule(
        self,
        name: str,
        *,
        toolset: str | None = None,
        project: str | None = None,
        organization: str | None = None,
        cron: str | None = None,
        at: datetime | str | None = None,
        timezone: str = "UTC",
        kind: str = "create_release",
        arguments: Mapping[str, Any] | None = None,
        misfire: "Misfire" = "once",
        catch_up_seconds: int = 3_600,
        overlap: "Overlap | None" = None,
        actor: str,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Schedule":
        """Ask for the same again and again, or at one instant: of one toolset, or of all that a project
        (`organization/project`) or an organization (a slug or an id) has when it fires.

        `cron` has five fields, or six with seconds first, and is read in `timezone`, an IANA name; so is `at`, unless
        it says an offset. `arguments` are the options of a request of this `kind`, which may be `create_release` (with
        `only_if_changed`, unless you say otherwise), `check_drift`, `repair`, `prune`, `verify`, and for one toolset
        `publish` and `rollback`.

        `misfire` says what happens to instants at which no worker was there: `skip` leaves them out, `once` does the
        latest one, and `all` does each; none that is more than `catch_up_seconds` ago.

        `overlap` says what happens to a toolset whose request before has not ended: `skip` makes none, `queue` makes
        one more. By default that is `skip`, and with `misfire="all"` it is `queue`.

        Raises InvalidRequest, ToolsetNotFound, OwnerNotFound, ScheduleExists if the organization has one of that name;
        ReleaseNotFound and ReleaseMarkedBad for a rollback to a release that is no target now.
        """
        from release_worker.domain.schedules.schedule import NewSchedule
        from release_worker.operations.schedules.managing import add_schedule

        asked = {
            "name": name,
            "toolset": toolset,
            "project": project,
            "organization": organization,
            "cron": cron,
            "at": at,
            "timezone": timezone,
            "kind": kind,
            "arguments": {} if arguments is None else dict(arguments),
            "misfire": misfire,
            "catch_up_seconds": catch_up_seconds,
            "overlap": overlap,
            "actor": actor,
        }
        new, schedule_id = validated(NewSchedule, asked), uuid7()
        return self._at_once(lambda connection: add_schedule(connection, new, schedule_id), session)

    def schedules(
        self, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Sequence[Schedule]":
        """All schedules, or those of one organization, in the order of their names."""
        from release_worker.queries.schedules import schedules

        return self._at_once(lambda connection: schedules(connection, organization=organization), session)

    def schedule(
        self, name: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Schedule":
        """The schedule of this name. Raises ScheduleNotFound, and InvalidRequest if several organizations have one of
        that name and none is named."""
        from release_worker.queries.schedules import find_schedule

        return self._at_once(partial(find_schedule, name=name, organization=organization), session)

    def pause_schedule(
        self, name: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Schedule":
        """Let a schedule fire no more until it is resumed; otherwise as `schedule`."""
        from release_worker.operations.schedules.managing import pause_schedule

        return self._at_once(partial(pause_schedule, name=name, organization=organization), session)

    def resume_schedule(
        self, name: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Schedule":
        """Let a schedule that was paused or suspended fire again from now on; what it has not done is not caught up.
        Otherwise as `schedule`, and raises InvalidRequest if it has no instant left."""
        from release_worker.operations.schedules.managing import resume_schedule

        return self._at_once(partial(resume_schedule, name=name, organization=organization), session)

    def remove_schedule(
        self, name: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "Schedule":
        """Remove a schedule, and return what it was; the requests that it has made stay. Otherwise as `schedule`."""
        from release_worker.operations.schedules.managing import remove_schedule

        return self._at_once(partial(remove_schedule, name=name, organization=organization), session)

    def run_schedule_now(
        self,
        name: str,
        *,
        organization: str | None = None,
        override_freeze: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> dict[str, Handle]:
        """Make the requests of a schedule once, now, paused and suspended or not; when it fires next stays as it is.
        Returns their handles by the toolsets as the requests name them. During a freeze they end as Frozen, unless
        `override_freeze` says why not.

        Raises what `schedule` and `add_schedule` raise, and BrokerUnavailable: then all requests are kept.
        """
        from release_worker.operations.schedules.run_now import run_now
        from release_worker.store.listening import announce

        if session is None:
            # Not tried twice: a second run would be another one.
            from release_worker.store.engine import ledger_transaction

            with ledger_transaction(self._engine()) as connection:
                made = run_now(connection, name, organization=organization, override_freeze=override_freeze)
            handles = self._handles_of(made)
            for one in made:
                self._publish(handles[one.request.toolset], message_of_scheduled(one), kept=True, others_read=False)
            return handles
        door = self._door(session)
        connection = self._joined(session)
        made = run_now(connection, name, organization=organization, override_freeze=override_freeze)
        handles = self._handles_of(made, made_in=door.transaction())
        if door.announced:
            announce(connection, [one.id for one in made], schema=self._schema)
            return handles
        for one in made:
            door.after_commit(
                partial(
                    self._publish, handles[one.request.toolset], message_of_scheduled(one), kept=True, others_read=False
                )
            )
        return handles

    def _handles_of(
        self, made: "Sequence[ScheduledRequest]", made_in: "OpenTransaction | None" = None
    ) -> dict[str, Handle]:
        return {one.request.toolset: Handle(self, one.id, one.request.kind, made_in=made_in) for one in made}
