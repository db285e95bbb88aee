"""`trefoil forecast`: forecasts of every series of a sales file, without any cloud."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Dates, Decimal, Json, err, progress, say
from cli.output import replaced_directory, write_table
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    from functions.forecasting.domain.series import Series
    from functions.forecasting.domain.tables import Parsed
    from functions.forecasting.files import Result, Task
    from layers.tables import Reading


LATE = 366


class Preset(StrEnum):
    """Known layouts of a sales file."""

    AUTO = "auto"
    GENERIC = "generic"
    ROSSMANN = "rossmann"


def forecast(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet: series_id, ds, y, open, regressors")],
    out: Annotated[Path, typer.Option(help="directory to make, or of an earlier result to replace")],
    series: Annotated[list[str] | None, typer.Option(help="only this series; may be given again")] = None,
    horizon: Annotated[int, typer.Option(min=1, max=365, help="days to forecast")] = 42,
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="level of the interval")] = 0.95,
    backtest: Annotated[int | None, typer.Option(min=1, help="hold out the last days and report on them")] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="eve of the horizon; by default the newest observation of the file"),
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(help="a regressor known beforehand beside planned ones; may be given again")
    ] = None,
    dates: Dates = None,
    decimal: Decimal = None,
    preset: Annotated[Preset, typer.Option(help="layout of the file; auto tells by its columns")] = Preset.AUTO,
    engine: Annotated[str, typer.Option(help="local, threads, ray or ray://HOST:PORT")] = "local",
    json_output: Json = False,
) -> dict[str, Any]:
    """Forecast every series of a file: Prophet where it beats the simple baselines, else the better baseline."""
    from layers.tables import Reading, in_words

    parsed = _read(file, preset.value, Reading(dates, decimal))
    err.print(f"{file.name}: {in_words(parsed.understood)}", markup=False, soft_wrap=True)
    eve = _eve(parsed, as_of)
    chosen = _chosen(parsed, series or [], file, eve, known or [])
    _check(chosen, known or [], backtest, file)
    from functions.forecasting.files import Task

    now = datetime.now(UTC)
    tasks = [Task(one, horizon, level, backtest, now, eve, tuple(known or ())) for one in chosen]
    with replaced_directory(out, inputs=[file]) as fresh:
        pairs = list(zip(chosen, _run(tasks, engine), strict=True))
        write_table(_forecasts(pairs, held=backtest is not None), fresh / "forecasts.parquet")
        summary = _write(fresh, file, parsed, pairs, level, eve)
    _tell(summary, out)
    return summary | {"out": str(out)}


def _read(file: Path, preset: Any, reading: "Reading") -> "Parsed":
    from functions.forecasting.domain import tables

    try:
        with file.open("rb") as source:
            return tables.read(source, str(file), preset=preset, reading=reading)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", file=str(file)) from exc


def _eve(parsed: "Parsed", as_of: datetime | None) -> date:
    """The day after which every horizon begins: `as_of`, else that of the newest observation of the file."""
    newest = max((one.last_ds for one in parsed.series if one.observed), default=date.max)
    if as_of is not None and (as_of.date() - newest).days > LATE:
        raise InputError(f"--as-of lies more than a year after the newest observation, {newest}")
    return as_of.date() if as_of else newest


def _chosen(parsed: "Parsed", wanted: list[str], file: Path, eve: date, known: list[str]) -> "list[Series]":
    from functions.forecasting.domain import frame
    from functions.forecasting.domain.tables import Rejection

    if missing := sorted(set(wanted) - {one.series_id for one in parsed.series}):
        mine = [one for one in parsed.rejected if one.series_id in missing]
        why = f": {len(mine)} rows rejected, the first because {mine[0].reason}" if mine else ""
        row = mine[0].row if mine else None
        raise InputError(f"has no valid series {', '.join(missing)}{why}", file=str(file), row=row, field="series_id")
    found = [one for one in parsed.series if not wanted or one.series_id in wanted]
    found = [
        frame.eve(one, max(0, one.row(eve) + 1), known) if one.observed > one.row(eve) + 1 else one for one in found
    ]
    empty = [one.series_id for one in found if not one.observed]
    reason = f"series left out: y is empty on every day up to {eve}"
    parsed.rejected += [Rejection(-1, series_id, reason) for series_id in empty]
    chosen = [one for one in found if one.observed]
    if not chosen:
        first = parsed.rejected[0]
        raise InputError(
            f"has no valid series: {first.reason}", file=str(file), row=first.row if first.row >= 0 else None
        )
    return chosen


def _check(chosen: "list[Series]", known: list[str], backtest: int | None, file: Path) -> None:
    from functions.forecasting.domain.training import longest_holdout

    names = sorted({part for one in chosen for name in one.regressors for part in (name, name.partition("=")[0])})
    if strange := sorted(set(known) - set(names)):
        raise InputError(f"has no regressor {', '.join(strange)}; it has {', '.join(names)}", file=str(file))
    if backtest and backtest > (most := max(longest_holdout(one.observed) for one in chosen)):
        raise InputError(f"is too short for --backtest {backtest}: at most {most} days can be held out", file=str(file))


def _run(tasks: "list[Task]", engine: str) -> "list[Result]":
    from functions.forecasting.files import forecast_one
    from layers.compute.engine import run_tasks

    results: dict[int, Result] = {}
    with progress() as bar:
        task = bar.add_task("forecasting", total=len(tasks))
        for index, result in run_tasks(forecast_one, tasks, engine=engine):
            results[index] = result
            bar.advance(task)
    return [results[i] for i in range(len(tasks))]


def _write(
    folder: Path, file: Path, parsed: "Parsed", pairs: "list[tuple[Series, Result]]", level: float, eve: date
) -> dict[str, Any]:
    import pyarrow as pa

    from functions.forecasting.files import left_out, overall
    from functions.forecasting.plot import draw

    rejected = [
        {"file": file.name, "row": r.row if r.row >= 0 else None, "series_id": r.series_id, "reason": r.reason}
        for r in parsed.rejected
    ]
    schema = pa.schema(
        [("file", pa.string()), ("row", pa.int64()), ("series_id", pa.string()), ("reason", pa.string())]
    )
    write_table(pa.Table.from_pylist(rejected, schema), folder / "rejected.parquet")
    per_series = {
        one.series_id: {
            "kind": result.trained.kind,
            "backtest": result.trained.backtest.model_dump() if result.trained.backtest else None,
            "regressors": list(result.trained.regressors),
            "left_out": dict(left_out(one, result.trained)),
            "assumptions": [*result.assumptions],
            "seconds": round(result.seconds, 3),
        }
        for one, result in pairs
    }
    summary = {
        "as_of": str(eve),
        "overall": overall(pairs),
        "kinds": dict(Counter(result.trained.kind for _, result in pairs)),
        "understood": parsed.understood,
        "rows": parsed.rows,
        "repeated": parsed.repeated,
        "rejected": len(rejected),
        "ignored_columns": parsed.ignored,
        "series": per_series,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(pairs, folder / "plot.png", level=level)
    return summary


def _forecasts(pairs: "list[tuple[Series, Result]]", *, held: bool) -> Any:
    """Rows of forecasts.parquet in order of series and day, held-out days before those to come."""
    import numpy as np
    import pyarrow as pa

    parts = [
        (one.series_id, part)
        for one, result in pairs
        for part in (result.held if held else None, result.forecast)
        if part is not None
    ]
    return pa.table(
        {
            "series_id": pa.array([name for name, part in parts for _ in range(len(part.days))], pa.string()),
            "ds": pa.array(np.concatenate([part.days for _, part in parts]), pa.date32()),
            **{
                column: np.concatenate([getattr(part, column) for _, part in parts])
                for column in ("yhat", "lower", "upper")
            },
        }
    )


def _tell(summary: dict[str, Any], out: Path) -> None:
    figures = summary["overall"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary["kinds"].items()))
    say(f"{figures['series']} series forecast ({kinds}), {summary['rejected']} rows rejected; see {out}")
    if figures["wape"] is not None:
        texts = {k: "none" if v is None else f"{v:.4f}" for k, v in figures.items() if k != "pooled"}
        say(
            f"held-out days, mean over series: WAPE {texts['wape']} (better baseline of each series "
            f"{texts['baseline_wape']}), RMSPE {texts['rmspe']}, coverage {texts['coverage']}; "
            f"all days together: WAPE {figures['pooled']['wape']:.4f}"
        )
    short = sum(any(said.startswith("backtest:") for said in one["assumptions"]) for one in summary["series"].values())
    if short:
        say(f"{short} series are too short for the backtest asked for, and report on fewer days")
