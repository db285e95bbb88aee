"""`trefoil`: one module per command group. Heavy libraries are imported inside the commands that need them."""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from cli import classifier, console
from cli.anomalies import ManyFiles, anomalies
from cli.cost import cost
from cli.forecast import forecast
from cli.simulate import simulate
from layers.runtime.errors import InputError


class Commands(typer.core.TyperGroup):
    """Commands on files are here at once; those on a stack, with AWS's library, when one or the list is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help; those on files alone where AWS's library is not installed."""
        try:
            self._add_stack_commands()
        except InputError as exc:
            console.err.print(f"commands on a stack: {exc}", markup=False)
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name, None where there is none. Raises InputError where it is not installed."""
        if cmd_name not in self.commands:
            self._add_stack_commands()
        return super().get_command(ctx, cmd_name)

    def _add_stack_commands(self) -> None:
        try:
            from cli.stack_commands import app as more
        except ModuleNotFoundError as exc:
            if str(exc.name).partition(".")[0] in {"cli", "functions", "infra", "layers"}:
                raise
            raise InputError(f"{exc.name} is not installed; install trefoil[deploy], or trefoil[local] too") from exc
        group: Any = typer.main.get_command(more)
        self.commands.update(group.commands)


app = typer.Typer(
    cls=Commands,
    help="Three machine-learning services on one stem: anomalies, forecasts, classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"trefoil {version('trefoil')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command(cls=ManyFiles)(anomalies)
app.command()(forecast)
app.add_typer(classifier.app, name="classifier")
app.command()(simulate)
app.command()(cost)


def main() -> None:
    """Entry point of the `trefoil` script."""
    try:
        status = console.run(app)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as `head`, has enough; Python would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = console.DONE
    sys.exit(status)
