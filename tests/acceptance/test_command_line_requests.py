"""Requests on the command line: cancelled, followed, and kept while nobody waits for them."""

import json

from tests.support.command_line import CommandLine
from tests.support.world import Toolset


def test_a_queued_request_is_cancelled_and_brought_back(nobody_works: CommandLine, billing: Toolset) -> None:
    asked = nobody_works("release", billing.path, "--no-wait", "--json").document["request_id"]
    cancelled = nobody_works.as_process("requests", "cancel", asked, "--actor", "alice", "--reason", "wrong branch")
    assert (cancelled.status, cancelled.err) == (0, "")
    assert cancelled.out.startswith(f"Request {asked} is cancelled. Bring it back: ")
    shown = nobody_works("requests", "show", asked).out
    assert f"RequestCancelled: request {asked} was cancelled by alice: wrong branch" in " ".join(shown.split())

    again = nobody_works("requests", "cancel", asked, "--json")
    told = f"request {asked} has failed already: only a queued request can be cancelled"
    assert (again.status, again.out) == (1, "")
    assert json.loads(again.err)["message"] == told

    assert nobody_works("requests", "retry", asked).status == 0
    assert nobody_works("requests", "show", asked, "--json").document["status"] == "queued"
    assert nobody_works("requests", "cancel", asked, "--json").document == {"request_id": asked}


def test_a_request_that_is_done_is_not_cancelled(run: CommandLine, billing: Toolset) -> None:
    run("release", billing.path)
    [done] = run("requests", "list", "--toolset", billing.path, "--json").document
    refused = run("requests", "cancel", done["id"])
    told = f"error: request {done['id']} has succeeded already: only a queued request can be cancelled\n"
    assert (refused.status, refused.out, refused.err) == (1, "", told)
