"""`trefoil classifier`: train on a file, score a file; no cloud needed."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Dates, Decimal, Json, err, progress, say
from cli.output import replaced_directory, write_table
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

REJECTED = "rejected.parquet"

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
    dates: Dates = None,
    decimal: Decimal = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Train a classifier on FILE and report how good it is on rows that nothing saw."""
    from functions.classification import bundle, learning
    from functions.classification.columns import read_file
    from functions.classification.domain.schema import whose
    from functions.classification.domain.training import Parameters
    from layers.tables import Reading, in_words

    started = time.monotonic()
    parameters = Parameters(iterations=iterations, seed=seed, budget_seconds=budget, **_money(value, cost))
    read = read_file(file, Reading(dates, decimal))
    columns = read.values
    err.print(f"{file.name}: {in_words(read.understood)}", markup=False, soft_wrap=True)
    target, chosen, refused = _columns(list(columns), str(file), target, features, preset)
    group = group or whose({name: values for name, values in columns.items() if name != target})
    also = [] if group is None else [group]
    bundle.require(list(columns), also, str(file))
    used = {name: columns[name] for name in dict.fromkeys([*chosen, target, *also])}
    try:
        rows, named = learning.label(used, target, positive=positive, group=group)
        with progress() as bar:
            task = bar.add_task("searching", total=iterations)
            package = learning.learn(
                rows,
                named,
                parameters,
                in_order=time_ordered,
                refused=refused,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except InputError as exc:
        raise InputError(exc.args[0], file=str(file), row=exc.row, field=exc.field) from exc
    rejected = {read.rows[row]: why for row, why in learning.reject(columns, target, package).items()}
    rejected |= {one.row: one.reason for one in read.ragged}
    with replaced_directory(out, inputs=[file]) as directory:
        bundle.write_directory(
            directory,
            package.version,
            package.files,
            created_at=datetime.now(UTC),
            data_hash=bundle.hash_columns(columns),
            metrics=package.metrics,
            libraries=package.libraries,
            specification=package.trained.model.specification,
        )
        if rejected:
            write_table(_listing(dict(sorted(rejected.items()))), directory / REJECTED)
    seconds = time.monotonic() - started
    _say_trained(package, out, seconds, rejected=len(rejected))
    return package.report | {
        "version": package.version,
        "seconds": seconds,
        "out": str(out),
        "ragged": len(read.ragged),
        "understood": read.understood,
        "unlabelled": len(columns[target]) - len(rows.y),
    }


def _listing(rejected: dict[int, str]) -> "pa.Table":
    import pyarrow as pa

    return pa.table({"row": pa.array(rejected.keys(), pa.int64()), "reason": list(rejected.values())})


def _money(value: float | None, cost: float | None) -> dict[str, float | None]:
    if (value is None) != (cost is None):
        raise InputError("--value and --cost go together")
    if value is not None and cost is not None and not 0 < cost < value:
        raise InputError("--cost must be above 0 and below --value")
    return {"value": value, "cost": cost}


def _columns(
    header: list[str], file: str, target: str | None, features: str | None, preset: str | None
) -> tuple[str, list[str], list[str]]:
    """(target, columns to learn from, columns refused)."""
    from functions.classification.bundle import require
    from functions.classification.presets import PRESETS, Preset

    if preset is not None and preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; there is {', '.join(PRESETS)}", field="--preset")
    known = PRESETS[preset] if preset else Preset(target="")
    target = target or known.target
    if not target:
        raise InputError("name the column to predict with --target")
    require(header, [target], file)
    refused = [name for name in header if name in known.leaks]
    if features is None:
        return target, [name for name in header if name not in (*refused, target)], refused
    lists = dict(known.feature_lists)
    chosen = list(lists.get(features) or dict.fromkeys(name.strip() for name in features.split(",") if name.strip()))
    require(header, chosen, file)
    for name in chosen:
        if name in known.leaks or name == target:
            raise InputError("known only afterwards, so it may not be learnt from", file=file, field=name)
    return target, chosen, refused


def _say_trained(package: Any, out: Path, seconds: float, *, rejected: int) -> None:
    from functions.classification.learning import summary_lines

    report = package.report
    rows, search = report["rows"], report["search"]
    say(
        f"{report['target']} = {report['positive']}: {report['base_rate']:.1%}"
        f" of {sum(rows.values()) - rows['rejected'] - rows['copies']:,} rows"
    )
    say(f"measured on {rows['test']:,} rows that neither search, forest, calibration nor threshold saw:")
    for line in summary_lines(package):
        say(line)
    for name, reason in package.trained.model.specification.left_out.items():
        say(f"left out: {name} ({reason})")
    if report["twins"]:
        say(f"{report['twins']:,} of the rows measured on equal a row learnt from in every column")
    if report["group"]:
        say(f"kept together: rows of the same {report['group']}")
    if rows["copies"]:
        say(f"left out: {rows['copies']:,} exact copies of other rows")
    if rejected:
        say(f"rejected: {rejected:,} rows; see {out / REJECTED}")
    if search["cut_by_time_budget"]:
        say(f"the time budget cut the search: {search['tried']} of {search['iterations']} candidates were tried")
    say(f"model {package.version} in {out} after {seconds:.1f} s; see {out / 'report.png'}")


@app.command()
def score(
    model_dir: Annotated[Path, typer.Argument(help="directory that `train` wrote")],
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file with the model's columns")],
    out: Annotated[Path, typer.Option(help="file to write: the same rows with probability and segment")],
    dates: Dates = None,
    decimal: Decimal = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Add a probability and a segment to each row of FILE."""
    from functions.classification.bundle import load_directory
    from functions.classification.file_scoring import Counted, score_file
    from layers.tables import Reading, in_words

    started = time.monotonic()
    model = load_directory(model_dir)
    counted = Counted()
    with progress() as bar:
        task = bar.add_task("rows scored", total=None)
        for counted in score_file(model, file, out, Reading(dates, decimal)):
            bar.update(task, completed=counted.rows)
    err.print(f"{file.name}: {in_words(counted.understood)}", markup=False, soft_wrap=True)
    seconds = time.monotonic() - started
    listed = out.with_name(f"{out.name}.{REJECTED}")
    listed.unlink(missing_ok=True)
    if counted.rejected:
        write_table(_listing(counted.rejected), listed)
    rejected = len(counted.rejected)
    scored = counted.rows - rejected
    first = next((f"row {row}: {why}" for row, why in counted.rejected.items()), None)
    say(f"{scored:,} of {counted.rows:,} rows scored by model {model.version} in {seconds:.1f} s: {out}")
    if counted.absent:
        say(f"not in the file, taken as missing: {', '.join(counted.absent)}")
    if rejected:
        say(f"{rejected:,} rows could not be scored, the first: {first}; all of them: {listed}")
    return {
        "rows": counted.rows,
        "scored": scored,
        "rejected": rejected,
        "first_problem": first,
        "absent": counted.absent,
        "understood": counted.understood,
        "model_version": model.version,
        "seconds": seconds,
        "out": str(out),
    }
