"""`trefoil anomalies`: which of these rides are abnormal, from files, without a cloud."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import Json, progress, say
from cli.output import replaced_directory
from layers.compute.engine import run_tasks
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    from functions.clustering.contracts import PartReport, Source
    from functions.clustering.domain.columns import Preset as PresetName
    from functions.clustering.domain.model import Model

SAMPLE = 20_000
HISTORY_ENOUGH = 1_000
PART_BYTES, PART_RIDES = 64 << 20, 1_000_000
RUN_ID = "local"


class Preset(StrEnum):
    """Public file formats."""

    TLC = "tlc"


class Params(StrEnum):
    """Sets of parameters."""

    ROBUST = "robust"
    BOOK = "book"


class ManyFiles(typer.core.TyperCommand):
    """Lets `--history` take all the names that follow it, as a shell pattern gives them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its names."""
        spread: list[str] = []
        within = False
        for argument in args:
            if within and not argument.startswith("-") and spread[-1] != "--history":
                spread.append("--history")
            within = argument == "--history" or (within and not argument.startswith("-"))
            spread.append(argument)
        return super().parse_args(ctx, spread)


def anomalies(
    files: Annotated[
        list[Path], typer.Argument(help=".parquet, .csv or .csv.gz: ride_id, ride_dist (km), ride_time (h)")
    ],
    out: Annotated[Path, typer.Option(help="directory to make, or to replace whole")],
    history: Annotated[list[Path] | None, typer.Option(help="earlier rides to learn from, one file or several")] = None,
    preset: Annotated[Preset | None, typer.Option(help="public file format: tlc, NYC trip records")] = None,
    params: Annotated[Params, typer.Option(help="book: standard scaling, eps .3, 10 neighbours")] = Params.ROBUST,
    engine: Annotated[str, typer.Option(help="local, ray, or ray://HOST:PORT")] = "local",
    json_output: Json = False,
) -> dict[str, Any]:
    """Flag abnormal rides: writes anomalies.parquet, rejected.parquet, summary.json and plot.png."""
    started = time.perf_counter()
    history = history or []
    for path in (*files, *history):
        if not path.is_file():
            raise InputError("does not exist" if not path.exists() else "is not a file", file=str(path))
    if params is Params.BOOK and history:
        raise InputError("the book's method takes no history", field="--history")
    with replaced_directory(out, inputs=[*files, *history]) as fresh:
        summary = _run(files, history, preset.value if preset else None, params.value, engine, fresh)
        summary["seconds"] = round(time.perf_counter() - started, 2)
        (fresh / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    say(
        f"{summary['anomalies']:,} of {summary['rides']:,} rides are anomalous, {summary['rejected']:,} rows rejected "
        f"({summary['seconds']} s)\nresults in {out}"
    )
    return summary


def _run(
    files: list[Path], history: list[Path], preset: "PresetName | None", params: str, engine: str, out: Path
) -> dict[str, Any]:
    from functions.clustering.domain.picture import draw
    from layers.storage.registry import content_version

    model, learned_from = _learn(files, history, preset, params)
    dumped = model.dump()
    version = content_version(dumped)
    parts = [
        Part(i, sources, preset, dumped, version, str(out / ".parts"))
        for i, sources in enumerate(_planned(files, preset))
    ]
    (out / ".parts").mkdir()
    reports: dict[int, PartReport] = {}
    with progress() as bar:
        task = bar.add_task("labelling", total=len(parts))
        for i, report in run_tasks(
            label_part, parts, engine=engine if len(parts) > 1 or "ray" in engine else "threads"
        ):
            reports[i] = report
            bar.advance(task)
    rides = sum(report.rides for report in reports.values())
    found = sum(report.anomalies for report in reports.values())
    if not rides:
        raise InputError("holds no valid ride", file=", ".join(map(str, files)))
    _join(out, len(parts))
    points = [point for i in sorted(reports) for point in reports[i].points]
    (out / "plot.png").write_bytes(
        draw(points, rides, found, files[0].name if len(files) == 1 else f"{len(files)} files")
    )
    labels = Counter[int]()
    for report in reports.values():
        labels.update(report.labels)
    return {
        "rides": rides,
        "anomalies": found,
        "rejected": sum(report.rejected for report in reports.values()),
        "clusters": model.cluster_count,
        "eps": model.eps,
        "min_samples": model.min_samples,
        "silhouette": model.silhouette,
        "rides_per_label": {str(label): labels[label] for label in sorted(labels)},
        "sampled": model.sampled,
        "sampled_from": learned_from,
        "params": params,
        "model_version": version,
    }


def _learn(files: list[Path], history: list[Path], preset: "PresetName | None", params: str) -> "tuple[Model, str]":
    """The model, and whether it was learned from the `history` or, for want of rides there, from the `input`."""
    from functions.clustering.domain.model import fit
    from functions.clustering.domain.parameters import NAMED
    from functions.clustering.domain.reading import RideFile
    from functions.clustering.domain.sample import Reservoir
    from functions.clustering.domain.tables import usable

    for paths, name in ((history, "history"), (files, "input")):
        sample = Reservoir(SAMPLE, seed=0)
        for path in paths:
            with path.open("rb") as stream:
                for dist, hours in usable(RideFile(stream, str(path), preset)):
                    sample.add(dist, hours)
        if sample.seen >= HISTORY_ENOUGH or name == "input":
            break
    if not sample.seen:
        raise InputError("holds no valid ride", file=", ".join(map(str, files)))
    return fit(*sample.rides(), NAMED[params]), name


def _planned(files: list[Path], preset: "PresetName | None") -> "list[list[Source]]":
    from functions.clustering.domain.planning import plan
    from functions.clustering.domain.reading import RideFile

    def row_groups(name: str) -> list[tuple[int, int]]:
        with open(name, "rb") as stream:
            return RideFile(stream, name, preset).row_groups_of()

    sizes = [(str(path), path.stat().st_size) for path in files]
    return plan(
        sizes,
        row_groups,
        item_bytes=PART_BYTES,
        item_rides=PART_RIDES,
        item_objects=1_000,
        footer_bytes=PART_BYTES // 8,
    )


@dataclass(frozen=True)
class Part:
    """What one worker does: label `sources` with the model `files` and write two tables under `out`."""

    number: int
    sources: "list[Source]"
    preset: "PresetName | None"
    files: dict[str, bytes]
    version: str
    out: str


def label_part(part: Part) -> "PartReport":
    """Label one part; runs in a worker, on whatever machine the engine chose."""
    import pyarrow.parquet as pq

    from functions.clustering.contracts import LABEL_SCHEMA, REJECTED_SCHEMA, PartReport
    from functions.clustering.domain.model import Model
    from functions.clustering.domain.reading import RideFile
    from functions.clustering.domain.tables import Labeller

    labeller = Labeller(Model.load(part.files), part.version, RUN_ID)
    names = [Path(part.out) / f"{kind}-{part.number}.parquet" for kind in TABLES]
    with pq.ParquetWriter(names[0], LABEL_SCHEMA) as labelled, pq.ParquetWriter(names[1], REJECTED_SCHEMA) as rejected:
        for source in part.sources:
            with open(source.key, "rb") as stream:
                file = RideFile(stream, source.key, part.preset, source.row_groups, source.first_row)
                for rows, bad in labeller.label(file):
                    labelled.write_table(rows)
                    rejected.write_table(bad)
    return PartReport(
        part=part.number,
        rides=labeller.rides,
        anomalies=labeller.anomalies,
        rejected=labeller.rejected,
        labels=dict(labeller.clusters),
        points=labeller.points(),
    )


TABLES = ("anomalies", "rejected")


def _join(out: Path, parts: int) -> None:
    """Put the parts' tables together in the order of the input."""
    import shutil

    import pyarrow.parquet as pq

    for kind in TABLES:
        files = [pq.ParquetFile(out / ".parts" / f"{kind}-{i}.parquet") for i in range(parts)]
        with pq.ParquetWriter(out / f"{kind}.parquet", files[0].schema_arrow) as writer:
            for file in files:
                for batch in file.iter_batches(1 << 20):
                    writer.write_batch(batch)
                file.close()
    shutil.rmtree(out / ".parts")
