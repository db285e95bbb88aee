"""`trefoil backfill`: run a daily job for days gone by, on a deployed stack."""

from datetime import date, timedelta
from typing import Annotated, Any

import typer

from cli.console import DONE, OUR_FAILURE, Json, progress, say
from cli.execution import finished, start
from cli.stack import Profile, Stack, Stage, connect
from layers.runtime.errors import InputError, UnavailableError

app = typer.Typer(help="Run a daily job for days gone by.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command()
def anomalies(
    first: Annotated[str, typer.Option("--from", help="first day, YYYY-MM-DD")],
    last: Annotated[str, typer.Option("--to", help="last day, itself included")],
    stage: Stage = "dev",
    profile: Profile = None,
    json_output: Json = False,
) -> tuple[dict[str, Any], int]:
    """Label each day's rides. Days that are done with the same input are passed over, so it can be run again."""
    days = _days(first, last)
    stack = connect(stage, profile)
    done = []
    with progress() as bar:
        task = bar.add_task("backfill", total=len(days))
        for day in days:
            bar.update(task, description=f"{day}")
            done.append(_run(stack, day))
            bar.advance(task)
            say(_line(done[-1]))
    failed = sum(one["status"] == "failed" for one in done)
    say(f"{len(done)} days, {failed} failed")
    return {"days": done, "failed": failed}, OUR_FAILURE if failed else DONE


def _run(stack: Stack, day: date) -> dict[str, Any]:
    """Run the day's state machine to its end; a day that fails does not keep the later ones waiting."""
    try:
        ended = finished(stack, start(stack, "ClusteringStateMachine", {"dt": str(day)}))
    except UnavailableError as exc:
        return {"dt": str(day), "status": "failed", "detail": str(exc)}
    row = stack.ledger.get("clustering", str(day))
    outcome = {"outcome": row.outcome, **row.counts} if row else {}
    return {"dt": str(day), "status": ended["status"], **outcome}


def _line(one: dict[str, Any]) -> str:
    if "rides" in one:
        return f"{one['dt']}  {one['status']}: {one['anomalies']:,} of {one['rides']:,} rides are anomalous"
    return f"{one['dt']}  {one['status']} {one.get('detail', '')}".rstrip()


def _days(first: str, last: str) -> list[date]:
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as exc:
        raise InputError("is not a day like 2026-01-31", field="--from or --to") from exc
    if end < start:
        raise InputError("is before --from", field="--to")
    return [start + timedelta(days=i) for i in range((end - start).days + 1)]
