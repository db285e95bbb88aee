"""`trefoil forecast`: forecasts of every series of a sales file, without any cloud."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import Columns, Dates, Decimal, Json, err, progress, say, say_rejected, zone_name
from cli.output import readable, replaced_directory, write_table

ROWS = 400_000
THREADS = os.cpu_count() or 1
AS_OF = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


def forecast(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet: series_id, ds, y, open, regressors")],
    out: Annotated[Path, typer.Option(help="directory to make, or of an earlier result to replace")],
    series: Annotated[list[str] | None, typer.Option(help="only this series; may be given again")] = None,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, max=365, help="periods to forecast; 168 hours, 42 days, 13 weeks, 12 months, 8 quarters"),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="level of the interval")] = 0.95,
    quantiles: Annotated[str, typer.Option(help="also these, such as 0.1,0.5,0.9, as columns p10, p50, p90")] = "",
    backtest: Annotated[int | None, typer.Option(min=1, help="hold out the last periods and report")] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=AS_OF, help="eve of the horizon; by default the newest observation of the file"),
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(help="a regressor known beforehand beside planned ones; may be given again")
    ] = None,
    related: Annotated[
        list[Path] | None,
        typer.Option(help="file of regressors for the same series and times, into the future; may be given again"),
    ] = None,
    metadata: Annotated[Path | None, typer.Option(help="file of what kind of item each is, one row each")] = None,
    holidays: Annotated[
        str, typer.Option(help="country (DE) or part of one (DE-BY) whose public holidays are planned regressors")
    ] = "",
    frequency: Annotated[
        Literal["H", "D", "W", "M", "Q"] | None, typer.Option(help="step of the rows, where they do not tell")
    ] = None,
    aggregate: Annotated[
        Literal["sum", "mean"] | None, typer.Option(help="how several rows of a period become one")
    ] = None,
    timezone: Annotated[str, typer.Option(help="zone whose clock counts, e.g. Europe/Berlin")] = "",
    column: Columns = None,
    dates: Dates = None,
    decimal: Decimal = None,
    preset: Annotated[
        Literal["auto", "generic", "rossmann", "amazon-forecast"],
        typer.Option(help="layout of the file; auto tells by its columns"),
    ] = "auto",
    engine: Annotated[str, typer.Option(help="local, threads, ray or ray://HOST:PORT")] = "local",
    json_output: Json = False,
) -> dict[str, Any]:
    """Forecast every series of a file by what did best on its newest periods: Prophet, trees over all, or a rule."""
    from functions.forecasting import contracts, files
    from functions.forecasting.domain import related as others
    from functions.forecasting.domain import report, table
    from layers.compute.engine import run_tasks
    from layers.tables import Reading, in_words, named_columns

    inputs = [file, *(related or ()), *([metadata] if metadata else ())]
    for one in inputs:
        readable(one)
    probabilities = contracts.parse_quantiles(quantiles)
    with file.open("rb") as source:
        reading = Reading(dates, decimal, named_columns(column or ()))
        periods = table.Periods(frequency, aggregate, timezone and zone_name(timezone))
        parsed = table.read(source, str(file), preset=preset, reading=reading, periods=periods)
    for one in related or ():
        with one.open("rb") as source:
            others.join(parsed, source, str(one), reading=reading, periods=periods)
    items: others.Items = {}
    if metadata:
        with metadata.open("rb") as source:
            items = others.read_items(parsed, source, str(metadata))
    err.print(f"{file.name}: {in_words(parsed.understood)}", markup=False, soft_wrap=True)
    wanted_eve = as_of.isoformat()[: 16 if as_of.hour else 10] if as_of else None
    beforehand = tuple(known or ())
    chosen, eves = files.choose(
        parsed, str(file), wanted=series or (), as_of=wanted_eve, backtest=backtest, known=beforehand
    )
    chosen = files.enrich(chosen, eves, horizon, country=holidays, items=items)
    err.print(f"{file.name}: {files.frequencies(chosen)}", markup=False, soft_wrap=True)
    if holidays and {"M", "Q"} & eves.keys():
        err.print("--holidays: not used for months and quarters", markup=False)
    now = datetime.now(UTC)
    with progress() as bar:
        bar.add_task(f"learning one model of {len(chosen)} series", total=None)
        shared = files.share(chosen, horizon, backtest, rows=ROWS, known=beforehand, threads=THREADS)
    tasks = [
        files.Task(
            one, horizon, level, backtest, now, probabilities, eves[kind], beforehand, files.learned(shared[kind])
        )
        for one in chosen
        if (kind := one.frequency.kind)
    ]
    with replaced_directory(out, inputs=inputs) as fresh:
        with progress() as bar:
            ended = run_tasks(files.forecast_one, tasks, engine=engine)
            results = dict(bar.track(ended, total=len(tasks), description="forecasting"))
        pairs = [(one, results[i]) for i, one in enumerate(chosen)]
        write_table(files.forecasts(pairs, held=backtest is not None), fresh / "forecasts.parquet")
        write_table(files.rejections(parsed, file.name), fresh / "rejected.parquet")
        summary = files.summary(parsed, pairs, eves, shared, items)
        (fresh / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        panels = [(one, result.trained, result.held, result.forecast) for one, result in pairs]
        report.draw(panels, fresh / "plot.png", level=level)
    _tell(summary, out)
    return summary | {"out": str(out)}


def _tell(summary: dict[str, Any], out: Path) -> None:
    figures = summary["overall"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary["kinds"].items()))
    say(f"{figures['series']} series forecast ({kinds}), {summary['rejected']} rows rejected; see {out}")
    say_rejected(summary["rejected_for"])
    if figures["wape"] is not None:
        texts = {k: "none" if v is None else f"{v:.4f}" for k, v in figures.items() if k != "pooled"}
        say(
            f"held out, mean over series: WAPE {texts['wape']} (better baseline of each series "
            f"{texts['baseline_wape']}), RMSPE {texts['rmspe']}, coverage {texts['coverage']}; "
            f"all periods together: WAPE {figures['pooled']['wape']:.4f}"
        )
    short = sum(any(said.startswith("backtest:") for said in one["assumptions"]) for one in summary["series"].values())
    if short:
        say(f"{short} series are too short for the backtest asked for, and report on fewer periods")
