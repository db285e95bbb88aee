"""The commands that talk to a deployed stack or to the local cloud."""

from collections.abc import Callable
from typing import Any

import typer

from cli import backfill, local, models, queue, runs
from cli.destroy import destroy
from cli.doctor import doctor
from cli.ingest import ingest
from cli.smoke.command import smoke
from cli.stack import on_stack
from cli.status import status

app = typer.Typer()
command: Callable[..., Any]
for command in (local.demo, local.up, local.down):
    app.command()(command)
for command in (status, runs.logs, doctor, smoke, destroy, ingest, runs.train, runs.runs):
    app.command()(on_stack(command))
for name, meaning, commands in (
    ("backfill", "Make results again from the inputs.", (backfill.anomalies, backfill.histories)),
    (
        "models",
        "Versions of each leaf's model, and which of them answers.",
        (models.list_, models.show, models.promote, models.rollback, models.prune),
    ),
    ("redrive", "Send dead letters to their queue again.", (queue.classification,)),
):
    group = typer.Typer(help=meaning, no_args_is_help=True, callback=lambda: None)  # a group even of one command
    for command in commands:
        group.command(command.__name__.rstrip("_"))(on_stack(command))
    app.add_typer(group, name=name)
