"""`trefoil forecast`: forecasts of every series of a sales file, without any cloud."""

import json
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Json, progress, say
from cli.output import replaced_directory, write_table
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    from functions.forecasting.domain.series import Series
    from functions.forecasting.domain.tables import Parsed
    from functions.forecasting.files import Result


class Preset(StrEnum):
    """Known layouts of a sales file."""

    AUTO = "auto"
    GENERIC = "generic"
    ROSSMANN = "rossmann"


def forecast(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet: series_id, ds, y, open, regressors")],
    out: Annotated[Path, typer.Option(help="directory to make; replaced whole")],
    series: Annotated[list[str] | None, typer.Option(help="only this series; may be given again")] = None,
    horizon: Annotated[int, typer.Option(min=1, max=365, help="days to forecast")] = 42,
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="level of the interval")] = 0.95,
    backtest: Annotated[int | None, typer.Option(min=1, help="hold out the last days and report on them")] = None,
    preset: Annotated[Preset, typer.Option(help="layout of the file; auto tells by its columns")] = Preset.AUTO,
    engine: Annotated[str, typer.Option(help="local, threads, ray or ray://HOST:PORT")] = "local",
    json_output: Json = False,
) -> dict[str, Any]:
    """Forecast every series of a file: Prophet where it beats the simple baselines, else the better baseline."""
    parsed = _read(file, preset.value)
    chosen = _chosen(parsed, series or [], file)
    with replaced_directory(out, inputs=[file]) as fresh:
        results = _run(chosen, horizon, level, backtest, engine)
        summary = _write(fresh, file, parsed, list(zip(chosen, results, strict=True)), level)
    _tell(summary, out)
    return summary | {"out": str(out)}


def _read(file: Path, preset: Any) -> "Parsed":
    from functions.forecasting.domain import tables

    try:
        with file.open("rb") as source:
            return tables.read(source, str(file), preset=preset)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", file=str(file)) from exc


def _chosen(parsed: "Parsed", wanted: list[str], file: Path) -> "list[Series]":
    from functions.forecasting.domain.tables import Rejection

    if missing := sorted(set(wanted) - {one.series_id for one in parsed.series}):
        raise InputError(f"has no valid series {', '.join(missing)}", file=str(file), field="series_id")
    found = [one for one in parsed.series if not wanted or one.series_id in wanted]
    empty = [one.series_id for one in found if not one.observed]
    parsed.rejected += [Rejection(-1, series_id, "series left out: y is empty on every day") for series_id in empty]
    chosen = [one for one in found if one.observed]
    if not chosen:
        first = parsed.rejected[0]
        raise InputError(
            f"has no valid series: {first.reason}", file=str(file), row=first.row if first.row >= 0 else None
        )
    return chosen


def _run(chosen: "list[Series]", horizon: int, level: float, backtest: int | None, engine: str) -> "list[Result]":
    from functions.forecasting.files import Task, forecast_one
    from layers.compute.engine import run_tasks

    now = datetime.now(UTC)
    tasks = [Task(one, horizon, level, backtest, now) for one in chosen]
    results: dict[int, Result] = {}
    with progress() as bar:
        task = bar.add_task("forecasting", total=len(tasks))
        for index, result in run_tasks(forecast_one, tasks, engine=engine):
            results[index] = result
            bar.advance(task)
    return [results[i] for i in range(len(tasks))]


def _write(
    folder: Path, file: Path, parsed: "Parsed", pairs: "list[tuple[Series, Result]]", level: float
) -> dict[str, Any]:
    import pyarrow as pa

    from functions.forecasting.files import overall
    from functions.forecasting.plot import draw

    write_table(_forecasts(pairs), folder / "forecasts.parquet")
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
            "assumptions": [*result.assumptions],
            "seconds": round(result.seconds, 3),
        }
        for one, result in pairs
    }
    results = [result for _, result in pairs]
    summary = {
        "overall": overall(results),
        "kinds": dict(Counter(result.trained.kind for result in results)),
        "rows": parsed.rows,
        "rejected": len(rejected),
        "ignored_columns": parsed.ignored,
        "series": per_series,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(pairs, folder / "plot.png", level=level)
    return summary


def _forecasts(pairs: "list[tuple[Series, Result]]") -> Any:
    """Rows of forecasts.parquet in order of series and day, held-out days before those to come."""
    import numpy as np
    import pyarrow as pa

    parts = [
        (one.series_id, part) for one, result in pairs for part in (result.held, result.forecast) if part is not None
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
        say(
            f"held-out days, mean over series: WAPE {figures['wape']:.4f} (better baseline of each series "
            f"{figures['baseline_wape']:.4f}), RMSPE {figures['rmspe']:.4f}, coverage {figures['coverage']:.3f}"
        )
