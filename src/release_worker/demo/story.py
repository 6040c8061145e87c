"""The main job, told once: releases, upgrades, edits, a rollback to the first release, and the rollback undone."""

import time
from typing import TypeVar

from release_worker.client import ReleaseClient, RequestHandle
from release_worker.demo import checks
from release_worker.demo.app import TOOLSET, GitHubApp
from release_worker.demo.catalogue import read_catalogue
from release_worker.demo.checks import Check
from release_worker.demo.counts import recorded
from release_worker.demo.database import Database
from release_worker.demo.live import LiveState, read_live_state
from release_worker.demo.progress import Progress
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.request import Result
from release_worker.domain.requests.rollback import RollbackResult
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import ResultTimeout, UnexpectedFailure

R = TypeVar("R", bound=Result)

ACTOR = "demo"
ANSWER_SECONDS = 60.0


class Story:
    """One run on an empty database."""

    def __init__(self, database: Database, client: ReleaseClient, worker: PythonProcess, progress: Progress) -> None:
        self._database = database
        self._client = client
        self._worker = worker
        self._progress = progress
        self._app = GitHubApp(database)

    def tell(self) -> list[Check]:
        """All of it; returns the claims that were checked on the way."""
        self._prepare()
        self._upgrade("3.17")
        self._add_prompts()
        self._upgrade("3.18")
        self._upgrade("3.19")
        found = checks.check_releases(self._database)
        edited = self._edit()
        self._plan()
        found += checks.check_plan(self._database, edited)
        backup = self._roll_back()
        restored = read_live_state(self._database)
        found += checks.check_rollback(self._database, edited)
        self._undo(backup)
        found += checks.check_undo(self._database, restored)
        return found + checks.check_records(self._database)

    def _prepare(self) -> None:
        with self._progress.step("Making the tables, waiting for the worker") as done:
            self._database.migrate()
            self._app.set_up()
            self._answer(self._client.check_drift(TOOLSET, actor=ACTOR))
            done(f"Schema migrated; the worker answers; toolset {TOOLSET} is there, still empty")

    def _upgrade(self, version: str) -> None:
        with self._progress.step(f"Deploying and releasing {version}") as done:
            brought = self._app.deploy(read_catalogue(version))
            release = self._release(f"GitHub REST {version}")
            done(
                f"Release {release.release_number}: {version} deployed, {brought.tools_added} tools added, "
                f"{brought.definitions_changed} definitions changed"
            )

    def _add_prompts(self) -> None:
        with self._progress.step("Adding prompts and variations, and releasing them") as done:
            self._app.add_prompts()
            release = self._release("prompts, variations, configuration")
            done(f"Release {release.release_number}: prompts, variations and system configuration added")

    def _edit(self) -> LiveState:
        with self._progress.step("Editing live") as done:
            self._app.edit()
            drift = self._answer(self._client.check_drift(TOOLSET, actor=ACTOR))
            number, touched = drift.current_release_number, ", ".join(drift.changes)
            done(f"Edited, not released: drift from {number} in {touched}")
        return read_live_state(self._database)

    def _plan(self) -> None:
        with self._progress.step("Planning the rollback to release 1") as done:
            plan = self._answer(self._client.rollback(TOOLSET, 1, actor=ACTOR, dry_run=True))
            done("Rollback to release 1 planned, nothing written:")
        self._progress.show_plan(plan)

    def _roll_back(self) -> int:
        with self._progress.step("Rolling back to release 1") as done:
            result = self._roll_back_to(1, reason="the demo's agent broke")
            counts = recorded(result.changes)
            removed = counts.get("tools", {}).get("removed", 0)
            put_back = counts.get("deployment/tools", {}).get("changed", 0)
            done(
                f"Rolled back to release {result.to_release_number}: {removed} tools removed, "
                f"{put_back} definitions put back, edits in backup {result.backup_release_number}"
            )
        if result.backup_release_number is None:
            raise UnexpectedFailure(reason="the rollback kept the live edits in no backup")
        return result.backup_release_number

    def _undo(self, backup: int) -> None:
        with self._progress.step("Undoing the rollback") as done:
            result = self._roll_back_to(backup, reason="undo")
            done(f"Undone: rolled back to backup {result.to_release_number}, the edits are live again")

    def _release(self, notes: str) -> CreateReleaseResult:
        return self._answer(self._client.create_release(TOOLSET, actor=ACTOR, notes=notes))

    def _roll_back_to(self, number: int, *, reason: str) -> RollbackResult:
        return self._answer(self._client.rollback(TOOLSET, number, actor=ACTOR, reason=reason))

    def _answer(self, handle: RequestHandle[R]) -> R:
        """The result of a request, as long as there is a worker to wait for."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return handle.result(timeout=1)
            except ResultTimeout:
                self._worker.check()
                if time.monotonic() > deadline:
                    raise
