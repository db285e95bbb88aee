"""Use cases on files, without a cloud: learn, plan, label in workers, join what they wrote."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from functions.clustering.contracts import LABEL_SCHEMA, REJECTED_SCHEMA, PartReport, Source
from functions.clustering.domain.columns import Format
from functions.clustering.domain.model import Model, fit
from functions.clustering.domain.parameters import NAMED
from functions.clustering.domain.picture import draw
from functions.clustering.domain.planning import plan
from functions.clustering.domain.reading import RideFile
from functions.clustering.domain.sample import Reservoir
from functions.clustering.domain.tables import Labeller, usable
from functions.clustering.domain.validity import Repeats, rejections, unlikely_units
from layers.runtime.errors import InputError
from layers.tables import Styles

SAMPLE = 20_000
HISTORY_ENOUGH = 1_000
PART_BYTES, PART_RIDES, FOOTER_BYTES = 64 << 20, 1_000_000, 8 << 20
RUN_ID = "local"
TABLES = {"anomalies": LABEL_SCHEMA, "rejected": REJECTED_SCHEMA}


@dataclass(frozen=True)
class Part:
    """What one worker does: label `sources`, whose names are relative to `root`, and write two tables under `out`.

    `unique` names files in which no ride id comes twice, `decided` is how numbers and times are written in each.
    """

    number: int
    sources: list[Source]
    form: Format
    model: dict[str, bytes]
    version: str
    root: str
    out: str
    unique: frozenset[str]
    decided: Mapping[str, Styles]


@dataclass
class FileJob:
    """Rides in `files`, learned from `history` or, for want of rides there, from themselves.

    `understood`: how each file was read.
    """

    files: Sequence[Path]
    history: Sequence[Path]
    form: Format
    params: str
    understood: dict[str, dict[str, Any]] = field(default_factory=dict)
    _decided: dict[str, Styles] = field(default_factory=dict)

    def learn(self) -> tuple[Model, str]:
        """The model, and whether `history` or `input` was sampled. Raises InputError when no ride is valid."""
        sample, name = self._sample(self.history), "history"
        if sample.seen < HISTORY_ENOUGH:
            sample, name = self._sample(self.files), "input"
        if not sample.seen:
            raise self.nothing_valid()
        return fit(*sample.rides(), NAMED[self.params]), name

    def _sample(self, paths: Sequence[Path]) -> Reservoir:
        sample = Reservoir(SAMPLE, seed=0)
        for path in paths:
            with self._opened(str(path)) as file:
                for dist, hours in usable(file):
                    sample.add(dist, hours)
        return sample

    @contextmanager
    def _opened(self, name: str) -> Iterator[RideFile]:
        with open(name, "rb") as stream:
            file = RideFile(stream, name, self.form, decided=self._decided.get(name))
            if name not in self._decided:
                self._decided[name] = file.styles
                columns = ", ".join(file.columns.names)
                self.understood[name] = file.table.understood() | {"columns": columns}
            yield file

    def _styles(self, name: str) -> Styles:
        with self._opened(name) as file:
            return file.styles

    def nothing_valid(self) -> InputError:
        """What to raise when no row is a ride: the commonest reason, and where it comes first."""
        for path in self.files:
            with self._opened(str(path)) as file:
                for rides in file.rides():
                    why = rejections(rides)
                    commonest = Counter(why.tolist()).most_common(1)[0][0]
                    row = int(rides.rows[(why == commonest).argmax()])
                    return InputError(f"{commonest}; no row is a valid ride", file=str(path), row=row)
        return InputError("holds no valid ride", file=", ".join(map(str, self.files)))

    def parts(self, model: dict[str, bytes], version: str, out: Path) -> list[Part]:
        """The work, in the order of the input."""
        sources = [Source(key=str(path), size=path.stat().st_size) for path in self.files]
        items = plan(
            sources,
            self._row_groups,
            item_bytes=PART_BYTES,
            item_rides=PART_RIDES,
            item_objects=1_000,
            footer_bytes=FOOTER_BYTES,
        )
        split = {source.key for sources in items for source in sources if source.row_groups}
        unique = frozenset(name for name in split if self._unique(name))
        root = str(Path.cwd())
        return [
            Part(
                i,
                sources,
                self.form,
                model,
                version,
                root,
                str(out),
                unique,
                {source.key: self._styles(source.key) for source in sources},
            )
            for i, sources in enumerate(items)
        ]

    def _row_groups(self, source: Source) -> list[tuple[int, int]]:
        with self._opened(source.key) as file:
            return file.row_groups_of()

    def _unique(self, name: str) -> bool:
        with self._opened(name) as file:
            return not Repeats(file.ids())


def label_part(part: Part) -> PartReport:
    """Label one part; runs in a worker, on whatever machine the engine chose."""
    labeller = Labeller(Model.load(part.model), part.version, RUN_ID)
    with _writer(part, "anomalies") as labelled, _writer(part, "rejected") as rejected:
        for source in part.sources:
            with open(Path(part.root, source.key), "rb") as stream:
                decided = part.decided[source.key]
                file = RideFile(stream, source.key, part.form, source.row_groups, source.first_row, decided=decided)
                for rows, bad in labeller.label(file, unique=source.key in part.unique):
                    labelled.write_table(rows)
                    if bad.num_rows:
                        rejected.write_table(bad)
    return labeller.report(part.number)


def join(parts: Path, reports: Sequence[PartReport], out: Path) -> None:
    """Put the parts' tables together in the order of the input; ids that were integers are integers again."""
    integers = all(report.integer_ids for report in reports)
    for kind, schema in TABLES.items():
        to: Callable[[Any], Any] = _identity
        if integers and kind == "anomalies":
            schema, to = schema.set(0, pa.field("ride_id", pa.int64())), _with_integers
        with pq.ParquetWriter(out / f"{kind}.parquet", schema, use_dictionary=PLAIN) as writer:
            for report in reports:
                for batch in _batches(parts / f"{kind}-{report.part}.parquet"):
                    writer.write_batch(to(batch))


def summarise(model: Model, reports: Sequence[PartReport]) -> dict[str, Any]:
    """What summary.json says of the run."""
    labels = Counter[int]()
    for report in reports:
        labels.update(report.labels)
    return {
        "rides": sum(report.rides for report in reports),
        "anomalies": sum(report.anomalies for report in reports),
        "rejected": sum(report.rejected for report in reports),
        "warnings": unlikely_units(point for report in reports for point in report.points),
        **model.facts(),
        "rides_per_label": {str(label): labels[label] for label in sorted(labels)},
    }


def picture(reports: Sequence[PartReport], title: str) -> bytes:
    """plot.png."""
    points = [point for report in reports for point in report.points]
    return draw(points, sum(r.rides for r in reports), sum(r.anomalies for r in reports), title)


# Columns of few values; the others gain nothing from a dictionary and take longer with one.
PLAIN = ["label", "model_version", "run_id"]


def _writer(part: Part, kind: str) -> Any:
    return pq.ParquetWriter(Path(part.out, f"{kind}-{part.number}.parquet"), TABLES[kind], use_dictionary=PLAIN)


def _batches(path: Path) -> Iterator[Any]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(1 << 20)


def _identity(batch: Any) -> Any:
    return batch


def _with_integers(batch: Any) -> Any:
    return batch.set_column(0, "ride_id", batch.column(0).cast(pa.int64()))
