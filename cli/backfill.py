"""`trefoil backfill`: make results again from the inputs that lie in a deployed stack."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.console import DONE, OUR_FAILURE, progress, say
from cli.stack import Stack, Yes, change, finished, start
from layers.runtime.errors import InputError, UnavailableError


def anomalies(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="first day")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="last day, itself included")],
    force: Annotated[bool, typer.Option("--force", help="label days again that are done with the same input")] = False,
    yes: Yes = False,
) -> tuple[dict[str, Any], int]:
    """Label each day's rides. Days that are done with the same input are passed over, so it can be run again."""
    if last < first:
        raise InputError("is before --from", field="--to")
    days = [first.date() + timedelta(days=i) for i in range((last - first).days + 1)]
    stack = change(f"labelling {days[0]} to {days[-1]} again", yes=yes)
    done = []
    with progress() as bar:
        for day in bar.track(days, description="backfill"):
            done.append(run_day(stack, day, force=force))
            say(_line(done[-1]))
    failed = sum(one["status"] == "failed" for one in done)
    say(f"{len(done)} days, {failed} failed")
    return {"days": done, "failed": failed}, OUR_FAILURE if failed else DONE


def histories(yes: Yes = False) -> tuple[dict[str, Any], int]:
    """Read every file in sales/ again, in the order in which they arrived."""
    stack = change("reading all sales again", yes=yes)
    found = sorted(stack.lake.list("sales/"), key=lambda info: info.modified)
    done = []
    with progress() as bar:
        for info in bar.track(found, description="ingesting"):
            done.append(_ingested(stack, info.key, info.modified))
            say("{key}: {status}, {rows:,} rows of {series:,} series {detail}".format(**done[-1]).rstrip())
    return {"files": done}, DONE if all(one["status"] == "done" for one in done) else OUR_FAILURE


def _ingested(stack: Stack, key: str, arrived: datetime) -> dict[str, Any]:
    """Read a file again as of its arrival, so that it never outdoes a correction that came after it."""
    try:
        event = {"keys": [key], "time": arrived.isoformat()}
        return dict(stack.invoke("FunctionForecastingIngest", event)["files"][0])
    except UnavailableError as exc:
        return {"key": key, "status": "failed", "rows": 0, "series": 0, "detail": str(exc)}


def run_day(stack: Stack, day: date, *, force: bool = False) -> dict[str, Any]:
    """Run the day's state machine to its end; a day that fails does not keep the later ones waiting."""
    try:
        ended = finished(stack, start(stack, "ClusteringStateMachine", {"dt": str(day), "force": force}))
    except UnavailableError as exc:
        return {"dt": str(day), "status": "failed", "detail": str(exc)}
    row = stack.ledger.get("clustering", str(day))
    outcome = {"outcome": row.outcome, "detail": row.detail, **row.counts} if row else {}
    return {"dt": str(day), "status": ended["status"], **outcome}


def _line(one: dict[str, Any]) -> str:
    if one.get("rides"):
        return f"{one['dt']}  {one['status']}: {one['anomalies']:,} of {one['rides']:,} rides are anomalous"
    return f"{one['dt']}  {one['status']} {one.get('detail', '')}".rstrip()
