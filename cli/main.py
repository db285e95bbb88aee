"""`trefoil`: one module per command group. Heavy libraries are imported inside the commands that need them."""

import os
import sys

import typer

from cli import backfill, classifier, cloud, console, models, operate
from cli.anomalies import ManyFiles, anomalies
from cli.demo import demo
from cli.destroy import destroy
from cli.doctor import doctor
from cli.forecast import forecast
from cli.ingest import ingest
from cli.simulate import simulate
from cli.status import status

app = typer.Typer(
    help="Three machine-learning services on one stem: anomalies, forecasts, classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    pass


app.command()(demo)
app.command()(cloud.up)
app.command()(cloud.down)
app.command()(status)
app.command()(cloud.logs)
app.command(cls=ManyFiles)(anomalies)
app.command()(forecast)
app.command()(simulate)
app.command()(doctor)
app.command()(destroy)
app.command()(ingest)
app.command()(operate.train)
app.command()(operate.runs)
app.add_typer(backfill.app, name="backfill")
app.add_typer(models.app, name="models")
app.add_typer(operate.redrive_app, name="redrive")
app.add_typer(classifier.app, name="classifier")


def main() -> None:
    """Entry point of the `trefoil` script."""
    try:
        status = console.run(app)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as `head`, has enough; Python would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = console.DONE
    sys.exit(status)
