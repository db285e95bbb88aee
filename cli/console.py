"""What every command shares: the `--json` switch, where text goes, and how errors end."""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer
from pydantic_core import to_json
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from typer._click.exceptions import ClickException  # typer carries click within itself and re-exports only parts

from layers.runtime.errors import InputError, TrefoilError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Dates = Annotated[
    Literal["day-first", "month-first"] | None, typer.Option(help="of 03/04/2019, where the file does not tell")
]
Decimal = Annotated[Literal[".", ","] | None, typer.Option(help="decimal sign, where the file does not tell")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="OURS=THEIRS: what a file calls our column")]

DONE, OUR_FAILURE, USER_INPUT = 0, 1, 2

err = Console(stderr=True, highlight=False)


def say(text: Any = "") -> None:
    """Print for a person on stdout, brackets as they are; silent under `--json`."""
    if not wants_json():
        Console(highlight=False, markup=False).print(text, soft_wrap=isinstance(text, str))


def say_rejected(reasons: Mapping[str, int]) -> None:
    """Print why rows were rejected, and how many for each reason."""
    for reason, rows in reasons.items():
        say(f"rejected: {rows:,} rows: {reason}")


def zone_name(name: str) -> str:
    """The name of a time zone. Raises InputError where it is none."""
    try:
        return str(ZoneInfo(name).key)
    except (OSError, LookupError, ValueError) as exc:
        raise InputError(f"{name} is no IANA time zone", field="--timezone") from exc


def table(first: str, *columns: str) -> Table:
    """An empty table that is readable at 80 columns: what a row is about is never cut, long cells break."""
    made = Table(Column(first, no_wrap=True), box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def wants_json() -> bool:
    """Whether this process was asked for JSON; read from the arguments so that usage errors obey it too."""
    return "--json" in sys.argv[1:]


def numbers(values: dict[str, Any]) -> list[tuple[str, int | float]]:
    """The entries that a line of text can show."""
    return [(k, v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)]


def figures(values: dict[str, Any]) -> str:
    """The numbers among `values`, in a line."""
    return ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v:.3g}" for k, v in numbers(values))


def progress() -> Progress:
    """A progress bar on stderr, shown on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, disable=not err.is_terminal, transient=True)


def run(app: Callable[..., Any]) -> int:
    """Run a typer app and return the exit status: 0 done, 1 our failure, 2 the user's input.

    A command returns the object that `--json` prints, or that object and an exit status.
    """
    try:
        answer = app(standalone_mode=False)
    except ClickException as exc:
        return _fail(exc.format_message().replace("Value error, ", ""), USER_INPUT)  # a word of typer's own
    except typer.Exit as exc:
        return exc.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except TrefoilError as exc:
        return _fail(str(exc), USER_INPUT if isinstance(exc, InputError) else OUR_FAILURE)
    except Exception as exc:  # noqa: BLE001 - a fault of ours: what a bug report needs, and still one JSON object
        if any(kind.__module__.startswith(("boto3.", "botocore.")) for kind in type(exc).mro()):
            return _fail(_told_by_aws(exc), OUR_FAILURE)
        err.print(traceback.format_exc(), style="dim", markup=False, soft_wrap=True)
        return _fail(f"{type(exc).__name__}: {exc}", OUR_FAILURE)
    if isinstance(answer, int):  # typer's own: --help, an interrupt
        return answer
    body, status = answer if isinstance(answer, tuple) else (answer, DONE)
    if wants_json() and isinstance(body, dict):
        print(to_json(body, ensure_ascii=True, inf_nan_mode="null", fallback=str).decode())
    return status if isinstance(status, int) else DONE


def _told_by_aws(exc: Any) -> str:
    if not hasattr(exc, "response"):
        return f"AWS cannot be used: {exc}"
    error, hint = exc.response.get("Error", {}), ""
    if "Expired" in error.get("Code", ""):
        hint = "; sign in again"
    elif "Denied" in error.get("Code", "") or "Unauthorized" in error.get("Code", ""):
        hint = "; the profile lacks this permission"
    return f"AWS answered {error.get('Code')} to {exc.operation_name}: {error.get('Message')}{hint}"


def _fail(message: str, status: int) -> int:
    line = " ".join(message.split()) or "name a command; --help lists them"
    if wants_json():
        print(json.dumps({"error": line}))
    err.print(f"trefoil: {line}", markup=False, soft_wrap=True)
    return status
