"""`trefoil classifier`: train on a file, score a file; no cloud needed."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Columns, Dates, Decimal, Json, err, progress, say, say_rejected
from cli.output import readable, replaced_directory
from layers.runtime.errors import InputError

app = typer.Typer(help="Train and apply a classifier on files.", no_args_is_help=True)


@app.command()
def train(
    file: Annotated[
        Path, typer.Argument(help="CSV (any usual delimiter, gzip or not) or Parquet file of labelled rows")
    ],
    out: Annotated[Path, typer.Option(help="directory to write the model and its report to; replaced whole")],
    target: Annotated[str | None, typer.Option(help="column to predict; it has two values")] = None,
    positive: Annotated[
        str | None, typer.Option(help="the value to find; unless named 1, yes or true, else the rarer one")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="column that says whose row it is: one's rows are never both learnt and judged")
    ] = None,
    features: Annotated[str | None, typer.Option(help="columns to learn from: A,B,.. or a list of the preset")] = None,
    time_ordered: Annotated[bool, typer.Option("--time-ordered", help="the rows are in time order")] = False,
    value: Annotated[float | None, typer.Option(min=0, help="what acting on a positive brings")] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="what acting on anybody costs")] = None,
    preset: Annotated[str | None, typer.Option(help="a known file format: bank")] = None,
    iterations: Annotated[int, typer.Option(min=1, max=500, help="candidates of the search")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same model")] = 0,
    budget: Annotated[float, typer.Option(min=1, help="time budget, s; the search is cut to keep it")] = 600,
    column: Columns = None,
    dates: Dates = None,
    decimal: Decimal = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Train a classifier on FILE and report how good it is on rows that nothing saw."""
    from functions.classification.domain.fit import Parameters
    from functions.classification.domain.report import summary_lines
    from functions.classification.files import REJECTED, read_file, train_file
    from layers.tables import Reading, commonest, in_words, named_columns

    if (value is None) != (cost is None):
        raise InputError("--value and --cost go together")
    if value is not None and cost is not None and not 0 < cost < value:
        raise InputError("--cost must be above 0 and below --value")
    started = time.monotonic()
    readable(file)
    table = read_file(file, Reading(dates, decimal, named_columns(column or ())))
    err.print(f"{file.name}: {in_words(table.understood)}", markup=False, soft_wrap=True)
    with replaced_directory(out, inputs=[file]) as directory, progress() as bar:
        task = bar.add_task("searching", total=iterations)
        package, rejected = train_file(
            file,
            table,
            directory,
            Parameters(iterations=iterations, seed=seed, budget_seconds=budget, value=value or 0, cost=cost or 0),
            target=target,
            features=features,
            preset=preset,
            positive=positive,
            group=group,
            in_order=time_ordered,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    seconds = time.monotonic() - started
    say("\n".join(summary_lines(package.report)))
    reasons = commonest(rejected.values())
    if rejected:
        say_rejected(reasons)
        say(f"all rejected rows: {out / REJECTED}")
    say(f"model {package.version} in {out} after {seconds:.1f} s; see {out / 'report.png'}")
    rows = package.report["rows"]
    return package.report | {
        "version": package.version,
        "seconds": seconds,
        "out": str(out),
        "ragged": len(table.ragged),
        "rejected_for": reasons,
        "understood": table.understood,
        "unlabelled": len(table.rows) - sum(rows.values()),
    }


@app.command()
def score(
    model_dir: Annotated[Path, typer.Argument(help="directory that `train` wrote")],
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file with the model's columns")],
    out: Annotated[Path, typer.Option(help="file to write: the same rows with probability and segment")],
    explain: Annotated[
        bool, typer.Option("--explain", help="add the features that moved each row's score most, and by how much")
    ] = False,
    column: Columns = None,
    dates: Dates = None,
    decimal: Decimal = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Add a probability and a segment to each row of FILE."""
    from functions.classification.files import REJECTED, Counted, load_directory, score_file, write_rejected
    from layers.tables import Reading, commonest, in_words, named_columns

    started = time.monotonic()
    readable(file)
    model, counted = load_directory(model_dir, explained=explain), Counted()
    reading = Reading(dates, decimal, named_columns(column or ()))
    with progress() as bar:
        task = bar.add_task("rows scored", total=None)
        for counted in score_file(model, file, out, reading):
            bar.update(task, completed=counted.rows)
    err.print(f"{file.name}: {in_words(counted.understood)}", markup=False, soft_wrap=True)
    seconds = time.monotonic() - started
    listed, rejected = out.with_name(f"{out.name}.{REJECTED}"), len(counted.rejected)
    write_rejected(counted.rejected, listed)
    first = next((f"row {row}: {why}" for row, why in counted.rejected.items()), None)
    scored, reasons = counted.rows - rejected, commonest(counted.rejected.values())
    say(f"{scored:,} of {counted.rows:,} rows scored by model {model.version} in {seconds:.1f} s: {out}")
    segments = {segment.name: (segment.low, segment.high) for segment in model.specification.segments}
    ranges = ", ".join(f"{name} from {low:.3f}" for name, (low, _) in segments.items())
    say(f"segments by probability: {ranges}; target is to act on, leave is to leave alone")
    if model.explanation:
        mean = f"{model.explanation.mean:.3g}, the mean score"
        say(f"explanation: what the features add to {mean}, in {model.explanation.scale} before calibration")
    if counted.absent:
        say(f"not in the file, taken as missing: {', '.join(counted.absent)}")
    if rejected:
        say(f"{rejected:,} rows could not be scored, the first: {first}; all of them: {listed}")
        say_rejected(reasons)
    return {
        "rows": counted.rows,
        "scored": scored,
        "rejected": rejected,
        "first_problem": first,
        "rejected_for": reasons,
        "absent": counted.absent,
        "understood": counted.understood,
        "model_version": model.version,
        "segments": segments,
        "explained": {"mean": model.explanation.mean, "scale": model.explanation.scale} if model.explanation else None,
        "seconds": seconds,
        "out": str(out),
    }
