"""`loqua-host records`: undelivered records, and learners' data on this host."""

import json
from typing import Annotated

import typer

from loqua_host.records.admin import OutboxEntry

from .config import CONFIG, Config
from .ledger import fail, open_ledger, open_records

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Manage undelivered records and learners' data, also while the host runs.",
)

SessionId = Annotated[str, typer.Argument(help="The lesson's session id, as in the log.")]
UserId = Annotated[str, typer.Argument(help="The learner's user id.")]
HEADINGS = ("session", "user", "tutor", "kind", "attempts", "state")


@app.command("list")
def list_entries(
    config: Config = CONFIG,
    *,
    dead: Annotated[
        bool, typer.Option("--dead", help="Only entries that the API refused permanently.")
    ] = False,
) -> None:
    """Print undelivered entries, oldest first, one per line, tab-separated."""
    with open_ledger(config) as ledger:
        entries = ledger.entries(dead_only=dead)
    for cells in (HEADINGS, *map(_cells, entries)):
        typer.echo("\t".join(cells))


@app.command()
def explain(session_id: SessionId, config: Config = CONFIG) -> None:
    """Print a lesson as JSON, with the reasons for the content of its record."""
    with open_ledger(config) as ledger:
        lesson = ledger.explain(session_id)
    if lesson is None:
        fail(f"{session_id}: not in the ledger; delivered lessons are deleted after a time")
    _print(lesson)


@app.command()
def resend(
    session_id: Annotated[str | None, typer.Argument(help="A lesson's session id.")] = None,
    config: Config = CONFIG,
    *,
    dead: Annotated[
        bool, typer.Option("--dead", help="All entries that the API refused permanently.")
    ] = False,
) -> None:
    """Send undelivered entries again: those of one lesson, or all that the API refused."""
    if (session_id is not None) == dead:
        fail("write either a session id or --dead")
    with open_ledger(config) as ledger:
        count = ledger.resend(session_id)
    typer.echo(f"{count} to send; a running host starts within a minute")


@app.command()
def export(user_id: UserId, config: Config = CONFIG) -> None:
    """Print all data of a learner as JSON."""
    with open_records(config) as (ledger, captures):
        lessons = ledger.export(user_id)
        captured = [captures.read(str(one["session_id"])) for one in lessons] if captures else []
    parts = [part.model_dump(mode="json") for lesson in captured for part in lesson]
    _print({"user_id": user_id, "lessons": lessons, "captures": parts})


@app.command()
def delete(
    user_id: UserId,
    config: Config = CONFIG,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete all data of a learner, including undelivered records."""
    with open_records(config) as (ledger, captures):
        if not yes:
            typer.confirm(
                f"Permanently delete all lessons of {user_id}, delivered or not?", abort=True
            )
        gone = ledger.delete(user_id)
        if captures is not None:
            for session_id in gone.session_ids:
                captures.delete(session_id)
    typer.echo(
        f"deleted {gone.lessons} lessons ({gone.running} running)"
        f" and {gone.undelivered} undelivered entries"
    )


def _cells(entry: OutboxEntry) -> tuple[str, ...]:
    pending = "pending, maybe delivered" if entry.maybe_delivered else "pending"
    state = pending if entry.dead_reason is None else f"dead: {entry.dead_reason}"
    return (
        entry.session_id,
        entry.user_id,
        entry.tutor,
        entry.kind,
        str(entry.attempts),
        state,
    )


def _print(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
