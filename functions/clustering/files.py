"""Use cases on files, without a cloud: learn, plan, label in workers, join what they wrote."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from functions.clustering.contracts import REJECTED_SCHEMA, PartReport, Source
from functions.clustering.domain.fit import Reservoir, fit
from functions.clustering.domain.labelling import ROWS, Labeller, rows_writer
from functions.clustering.domain.model import Model, Parameters, check_speed
from functions.clustering.domain.plan import plan
from functions.clustering.domain.report import draw, figures, median_speed
from functions.clustering.domain.table import REASONS, Format, RideFile, hashes, repeated_ids
from functions.clustering.domain.verdicts import judged, read_words
from layers.compute.engine import run_tasks
from layers.runtime.errors import InputError
from layers.storage.manifest import content_version
from layers.tables import Styles, commonest

SAMPLE = 20_000
HISTORY_ENOUGH = 1_000
PART_BYTES, PART_RIDES, PART_FILES = 8 << 20, 1_000_000, 1_000
RUN_ID = "local"
GROUP = 10  # batches of a worker that become one row group
OURS = {"distance": ("ride_dist",), "time": ("ride_time", "start", "end")}  # the columns that a reason is of
TABLES = {"anomalies": ROWS, "rejected": REJECTED_SCHEMA}


@dataclass(frozen=True)
class Part:
    """What one worker does: label `sources`, whose names are relative to `root`, and write two tables under `out`.

    Of every file, `decided` is how numbers and times are written, and `repeated` the ids that come twice in it; of a
    file that is not split the worker may find them.
    """

    number: int
    sources: list[Source]
    form: Format
    model: dict[str, bytes]
    version: str
    root: str
    out: str
    decided: Mapping[str, Styles]
    repeated: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class FileJob:
    """Rides in `files`, learned from `history` or, for want of rides there, from themselves.

    `verdicts`: a file of what analysts said of them. `understood`: how each file was read.
    """

    files: Sequence[Path]
    history: Sequence[Path]
    form: Format
    parameters: Parameters
    verdicts: Path | None = None
    understood: dict[str, dict[str, Any]] = field(default_factory=dict)
    _decided: dict[str, Styles] = field(default_factory=dict)
    _repeated: dict[str, frozenset[str]] = field(default_factory=dict)

    def run(self, out: Path, engine: str, show: Callable[..., None]) -> dict[str, Any]:
        """Write the results into `out` and return what summary.json says of them. Raises InputError without a ride.

        `show(total=...)` is called with the number of parts, then `show(advance=1)` for each that is done.
        """
        words = None
        if self.verdicts:
            with self.verdicts.open("rb") as stream:
                words = read_words(stream, str(self.verdicts), self.form.reading)
        model, sampled_from = self._learn()
        version, scratch = content_version(model.dump()), out / ".parts"
        scratch.mkdir()
        parts = self._parts(model.dump(), version, scratch)
        show(total=len(parts))
        reports: dict[int, PartReport] = {}
        for i, report in run_tasks(label_part, parts, engine=engine):
            reports[i] = report
            show(advance=1)
        ordered = [reports[i] for i in range(len(parts))]
        if not any(report.rides for report in ordered):
            raise self._nothing_valid()
        check_speed(median_speed(ordered), self.parameters, _named(self.files))
        join(scratch, ordered, out)
        shutil.rmtree(scratch)
        title = self.files[0].name if len(self.files) == 1 else f"{len(self.files)} files"
        (out / "plot.png").write_bytes(draw(ordered, title))
        how = {"sampled_from": sampled_from, "params": self.parameters.method, "model_version": version}
        verdicts = None if words is None else judged(out / "anomalies.parquet", words)
        counted = figures(ordered, verdicts, self.parameters.max_speed_kmh)
        reasons = pq.read_table(out / "rejected.parquet", columns=["reason"])["reason"].value_counts().to_pylist()
        counted["rejected_for"] = commonest({one["values"]: one["counts"] for one in reasons})
        return counted | model.facts() | how | {"understood": self.understood}

    def _learn(self) -> tuple[Model, str]:
        """The model, and whether `history` or `input` was sampled."""
        sample, name = self._sample(self.history), "history"
        if sample.seen < HISTORY_ENOUGH:
            sample, name = self._sample(self.files), "input"
        if not sample.seen:
            raise self._nothing_valid()
        try:
            return fit(*sample.rides(), self.parameters), name
        except InputError as exc:
            raise InputError(exc.args[0], file=_named(self.history if name == "history" else self.files)) from exc

    def _sample(self, paths: Sequence[Path]) -> Reservoir:
        """Of all valid rides; on the way, repeated ids are found."""
        sample = Reservoir(SAMPLE, seed=0)
        for path in paths:
            with self._opened(_source(path)) as file:
                own: list[Any] = []
                for rides in file.rides():
                    sample.add(*rides.valid())
                    own += [hashes(rides.ids)] * (path in self.files)
                if path in self.files:
                    self._repeated[str(path)] = repeated_ids(file, own)
        return sample

    @contextmanager
    def _opened(self, source: Source) -> Iterator[RideFile]:
        name = source.key
        with open(name, "rb") as stream:
            file = RideFile(stream, name, self.form, decided=self._decided.get(name))
            if name not in self._decided:
                self._decided[name] = file.styles
                self.understood[name] = file.table.understood() | {"columns": ", ".join(file.columns.values())}
            yield file

    def _nothing_valid(self) -> InputError:
        """What to raise when no row is a ride: the commonest reason, and where it comes first."""
        for path in self.files:
            with self._opened(_source(path)) as file:
                for rides in file.rides():
                    why = rides.rejections()
                    usual = np.bincount(why).argmax()
                    row, reason = int(rides.rows[(why == usual).argmax()]), REASONS[usual]
                    fields = [c for ours, c in file.columns.items() if ours in OURS.get(reason.split()[0], ())]
                    why_none, field = f"{reason}; no row is a valid ride", " and ".join(fields)
                    return InputError(why_none, file=str(path), row=row, field=field)
        return InputError("holds no valid ride", file=_named(self.files))

    def _parts(self, model: dict[str, bytes], version: str, out: Path) -> list[Part]:
        """The work, in the order of the input."""
        sizes = {"item_bytes": PART_BYTES, "item_rides": PART_RIDES, "item_objects": PART_FILES}
        items = plan(map(_source, self.files), self._opened, **sizes)
        for source in (source for item in items for source in item):
            with self._opened(source) as file:
                if source.row_groups and source.key not in self._repeated:
                    self._repeated[source.key] = repeated_ids(file, [hashes(ids) for ids in file.ids()])
        root, decided, repeated = str(Path.cwd()), self._decided, self._repeated
        return [
            Part(i, item, self.form, model, version, root, str(out), decided, repeated) for i, item in enumerate(items)
        ]


def _source(path: Path) -> Source:
    return Source(key=str(path), size=path.stat().st_size)


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def label_part(part: Part) -> PartReport:
    """Label one part; runs in a worker, on whatever machine the engine chose."""
    labeller = Labeller(Model.load(part.model), part.version, RUN_ID, part.number)
    with _writer(part, "anomalies") as labelled, _writer(part, "rejected") as rejected:
        for source in part.sources:
            with open(Path(part.root, source.key), "rb") as stream:
                file = RideFile(
                    stream, source.key, part.form, source.row_groups, source.first_row, decided=part.decided[source.key]
                )
                for rows, bad in labeller.label(file, part.repeated.get(source.key)):
                    labelled.write_batch(rows)
                    if bad.num_rows:
                        rejected.write_batch(bad)
    return labeller.report


def _writer(part: Part, kind: str) -> pa.ipc.RecordBatchStreamWriter:
    return pa.ipc.new_stream(str(Path(part.out, f"{kind}-{part.number}")), TABLES[kind])


def join(parts: Path, reports: Sequence[PartReport], out: Path) -> None:
    """Put the parts' tables together in the order of the input; ids that were integers are integers again."""
    integers = all(report.integer_ids for report in reports)
    for kind, schema in TABLES.items():
        if integers and kind == "anomalies":
            schema = schema.set(0, pa.field("ride_id", pa.int64()))
        with rows_writer(out / f"{kind}.parquet", schema) as writer:
            for report in reports:
                with pa.OSFile(str(parts / f"{kind}-{report.part}")) as file, pa.ipc.open_stream(file) as batches:
                    while group := list(islice(batches, GROUP)):
                        writer.write_table(pa.Table.from_batches(group).cast(schema))
