"""The commands that talk to a deployed stack or to the local cloud."""

import typer

from cli import backfill, cloud, models, operate
from cli.demo import demo
from cli.destroy import destroy
from cli.doctor import doctor
from cli.ingest import ingest
from cli.status import status

app = typer.Typer()
app.command()(demo)
app.command()(cloud.up)
app.command()(cloud.down)
app.command()(status)
app.command()(cloud.logs)
app.command()(doctor)
app.command()(destroy)
app.command()(ingest)
app.command()(operate.train)
app.command()(operate.runs)
app.add_typer(backfill.app, name="backfill")
app.add_typer(models.app, name="models")
app.add_typer(operate.redrive_app, name="redrive")
