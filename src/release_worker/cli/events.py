"""`events`: what happened, and who is told of it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from release_worker.cli.log import LONGEST_ID
from release_worker.cli.options import Actor, AsJson, Organization, ToolsetOption
from release_worker.cli.render import (
    command_line,
    count,
    facts,
    is_narrow,
    one_line,
    precise_moment,
    print_json,
    say,
    show_table,
    table,
)
from release_worker.cli.waiting import client_from_environment

if TYPE_CHECKING:
    from release_worker.domain.events import EventRecord
    from release_worker.domain.subscriptions import Subscription

app = typer.Typer(help="Read what happened, and let others be told of it.")

STANDARD_INPUT = "-"

SubscriptionId = Annotated[str, typer.Argument(metavar="ID", help="The subscription's id, as `events list` shows it.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only these, such as request.failed; may be repeated."),
]
OfProject = Annotated[
    str | None, typer.Option("--project", metavar="ORGANIZATION/PROJECT", help="Only what happens in this project.")
]
OfOrganization = Annotated[
    str | None,
    typer.Option("--organization", metavar="ORGANIZATION", help="Only what happens in this one, by slug or id."),
]
Url = Annotated[
    str | None, typer.Argument(metavar="URL", help="Where events are posted to, https://…", show_default=False)
]
Secret = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET", help="What signs them: whsec_ and base64, or - to read it; a new one if none is given."
    ),
]
TaskName = Annotated[str | None, typer.Option("--task", metavar="NAME", help="A Celery task to call, in place of URL.")]
Queue = Annotated[str | None, typer.Option(metavar="QUEUE", help="The queue that the task's worker reads.")]


@app.command()
def subscribe(
    actor: Actor,
    url: Url = None,
    secret: Secret = None,
    task: TaskName = None,
    queue: Queue = None,
    types: Types = None,
    project: OfProject = None,
    organization: OfOrganization = None,
    as_json: AsJson = False,
) -> None:
    """Let events be posted to a URL, or sent to a Celery task.

    A URL's events are signed as Standard Webhooks has it. A secret that is made here is shown this once.

    Example: release-worker events subscribe https://example.com/hooks --type request.failed
    """
    given: dict[str, Any] = {"actor": actor, "types": types or (), "project": project, "organization": organization}
    if (url is None) == (task is None):
        raise typer.BadParameter("give either URL or --task")
    if url is not None:
        _check_url(url)
    with client_from_environment(waits=True) as client:
        if url is not None:
            made = client.subscribe(url, secret=_read_if_asked(secret), **given)
        else:
            made = client.subscribe_task(task or "", queue=queue or "", **given)
    if as_json:
        print_json(made)
        return
    say(f"Subscription {made.subscription_id}: {one_line(made.receiver)}")
    if made.secret is not None:
        say(f"Its secret, shown only now: {made.secret}")
    say(f"How it does: {command_line('events', 'list')}")


def _read_if_asked(secret: str | None) -> str | None:
    """From standard input, so that it is in no list of processes and no history of a shell."""
    return sys.stdin.readline().strip() if secret == STANDARD_INPUT else secret


def _check_url(url: str) -> None:
    """The worker's settings count; those here are likely to be the same, and can say it at once."""
    from release_worker.errors import InvalidRequest
    from release_worker.settings import read_settings

    try:
        read_settings().webhook_rules.target(url)
    except ValueError as error:
        raise InvalidRequest(f"the URL {error}", problems=[{"field": "url", "problem": str(error)}]) from None


@app.command("list")
def list_subscriptions(organization: Organization = None, as_json: AsJson = False) -> None:
    """List the subscriptions, and how each does.

    Example: release-worker events list
    """
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.store.subscriptions import list_subscriptions as listed

    with reading(read_settings().database) as connection:
        found = listed(connection, organization=organization)
    if as_json:
        print_json(found)
    elif not found:
        say("There are no subscriptions.")
    for one in () if as_json else found:
        show_table(_facts(one))
        say("")


@app.command()
def remove(subscription_id: SubscriptionId, organization: Organization = None, as_json: AsJson = False) -> None:
    """Remove a subscription, with what it waits for.

    Example: release-worker events remove 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    with client_from_environment(waits=True) as client:
        client.unsubscribe(subscription_id, organization=organization)
    _done(subscription_id, "is removed", as_json=as_json)


@app.command()
def pause(
    subscription_id: SubscriptionId, actor: Actor, organization: Organization = None, as_json: AsJson = False
) -> None:
    """Let a subscription be told nothing, until it is resumed.

    What happens meanwhile is not for it: `events redeliver` sends it.

    \b
    Example:
      release-worker events pause 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    with client_from_environment(waits=True) as client:
        client.pause_subscription(subscription_id, actor=actor, organization=organization)
    _done(subscription_id, "is paused", as_json=as_json)


@app.command()
def resume(subscription_id: SubscriptionId, organization: Organization = None, as_json: AsJson = False) -> None:
    """Let a subscription that was paused, or gave up, be told again.

    Example: release-worker events resume 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    with client_from_environment(waits=True) as client:
        client.resume_subscription(subscription_id, organization=organization)
    _done(subscription_id, "goes on", as_json=as_json)


@app.command()
def redeliver(
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="The event's id, as `events log` shows it.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="ID", help="The subscription to send it to.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that was given up for --to, in place of EVENT.")] = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Deliver an event once more, under the same id.

    Without --to, to every subscription that wants it.

    \b
    Example:
      release-worker events redeliver --dead --to ID
    """
    if dead == (event_id is not None) or (dead and to is None):
        raise typer.BadParameter("give either EVENT or --dead with --to")
    with client_from_environment(waits=True) as client:
        deliveries = client.redeliver(event_id, to=to, organization=organization)
    if as_json:
        print_json({"deliveries": deliveries})
    else:
        say(f"{count(deliveries, 'delivery', 'deliveries')} to make.")


@app.command("log")
def log_events(
    toolset: ToolsetOption = None,
    types: Types = None,
    limit: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many, from the newest.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, metavar="SEQ", help="Only those before this one.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened, the newest first.

    Example: release-worker events log --type request.failed
    """
    from release_worker.domain.events import EventFilter
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.store.events import list_events
    from release_worker.store.owners.naming import find_toolset

    with reading(read_settings().database) as connection:
        asked = None if toolset is None else find_toolset(connection, toolset, organization=organization)
        chosen = EventFilter(None if asked is None else asked.toolset_id, types or (), before, organization)
        found = list_events(connection, chosen, limit=limit)
    if as_json:
        print_json(found)
    elif not found:
        say("There are no such events.")
    else:
        show_table(_table(found))
        if len(found) == limit:
            say("", f"Read on: {command_line('events', 'log', '--before', found[-1].seq)}")


def _done(subscription_id: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"subscription_id": subscription_id})
    else:
        say(f"Subscription {one_line(subscription_id)} {what}.")


def _facts(one: "Subscription") -> Table:
    def at(moment: Any) -> str | None:
        return None if moment is None else f"{precise_moment(moment)} UTC"

    return facts(
        [
            ("subscription", str(one.subscription_id)),
            ("to", one_line(one.receiver)),
            ("queue", one.queue and one_line(one.queue)),
            ("types", ", ".join(one.types) or "all"),
            ("project", None if one.project_id is None else str(one.project_id)),
            ("organization", None if one.organization_id is None else str(one.organization_id)),
            ("secret", one.secret_fingerprint and f"fingerprint {one.secret_fingerprint}"),
            ("state", "on" if one.enabled else f"off: {one_line(one.disabled_reason or '')}"),
            ("failures", f"{one.failures} in a row since {at(one.failing_since)}" if one.failures else None),
            ("last error", one_line(one.last_error) if one.failures and one.last_error else None),
            ("next attempt", at(one.paused_until) if one.enabled else None),
            ("last delivery", at(one.last_delivered_at)),
            ("waiting", str(one.pending)),
            ("given up", str(one.dead) if one.dead else None),
            ("made by", f"{one_line(one.created_by, 60)}, {at(one.created_at)}"),
        ]
    )


def _table(found: "list[EventRecord]") -> Table:
    """An id is never cut short: where there is little room it stands below what happened."""
    cells = ((precise_moment(one.created_at), one.type, _what(one), str(one.id)) for one in found)
    if not is_narrow():
        return table("at (UTC)", "type", "what", "event", rows=cells, elastic=("what",))
    stacked = ((at, kind, f"{what}\n{event_id}") for at, kind, what, event_id in cells)
    made = table("at (UTC)", "type", "what\nevent", rows=stacked, elastic=("what\nevent",))
    made.columns[-1].min_width = LONGEST_ID
    return made


def _what(one: "EventRecord") -> str:
    """The path, and what else is short: numbers, who asked, the type of an error."""
    data = one.data
    numbers = [
        f"{name.removesuffix('_number')} {data[name]}"
        for name in data
        if name.endswith("release_number") and data[name]
    ]
    error = data["error"].get("type") if isinstance(data.get("error"), dict) else None
    parts = [data.get("path"), *numbers, data.get("mark"), error, data.get("actor") and f"by {data['actor']}"]
    return one_line(" ".join(str(part) for part in parts if part), 400)
