"""Score a file of any size: chunk by chunk, rows in their order."""

import csv
import gzip
import io
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet

from functions.classification.bundle import require
from functions.classification.columns import written
from functions.classification.domain.schema import encode
from functions.classification.domain.scoring import Floats, Model
from layers.runtime.errors import InputError
from layers.tables import Batch, Reading, Styles, Table, open_table, styles
from layers.tables.numbers import is_text
from layers.tables.table import RAGGED

CHUNK = 20_000
ADDED = ("probability", "segment")


@dataclass
class Counted:
    """What became of the rows: how many, and those (from 0) that could not be scored, each with its reason.

    `absent`: columns that the file lacks and the model takes as missing; `understood`: how the file was read.
    """

    rows: int = 0
    rejected: dict[int, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    understood: dict[str, Any] = field(default_factory=dict)


class _Sink(Protocol):
    def write(self, batch: Batch, probabilities: list[float | None], segments: list[str | None]) -> None: ...
    def close(self) -> None: ...


def score_file(model: Model, source: Path, out: Path, reading: Reading | None = None) -> Iterator[Counted]:
    """Write `source` to `out` with a probability and a segment per row, empty where there is none; yields progress.

    CSV stays CSV with its delimiter (compressed if `out` ends in .gz); an `out` that ends in .parquet is Parquet.
    Raises InputError when the file lacks a column that the model needs or has no rows, or when `out` cannot be written.
    """
    counted = Counted()
    try:
        stream = source.open("rb")
    except OSError as exc:
        raise InputError(exc.strerror or "cannot be read", file=str(source)) from exc
    with stream:
        table = open_table(stream, str(source), reading=reading)
        counted.absent = _check_columns(model, table)
        numbers = [f.name for f in model.specification.features if f.kind == "number" and f.name in table.names]
        written_as = styles(table, numbers=[name for name in numbers if is_text(table.types[name])])
        counted.understood = table.understood()
        part = _prepared(out, source)
        try:
            sink: _Sink = _ParquetSink(part) if out.suffix == ".parquet" else _CsvSink(part, table, out.suffix == ".gz")
            try:
                for batch, bad, p in _scored(model, table, written_as):
                    sink.write(batch, *_answers(model, p, batch, bad, counted))
                    yield counted
            finally:
                sink.close()
            if counted.rows == 0:
                raise InputError("the file has no rows", file=str(source))
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


def _check_columns(model: Model, table: Table) -> list[str]:
    """The model's columns that the table lacks and that may be missing. Raises InputError for another one."""
    features = model.specification.features
    absent = [f.name for f in features if f.nullable and f.name not in table.names]
    if len(absent) == len(features):
        raise InputError("has none of the model's columns", file=table.name)
    require(table.names, [f.name for f in features if f.name not in absent], table.name)
    for name in ADDED:
        if name in table.names:
            raise InputError("the file already has this column", file=table.name, field=name)
    return absent


def _prepared(out: Path, source: Path) -> Path:
    """Where to write before `out` is replaced. Raises InputError when `out` is no place for a file, or is the input."""
    if out.is_dir():
        raise InputError("--out is a directory, not a file", file=str(out))
    if out.exists() and out.samefile(source):
        raise InputError("--out is the input itself", file=str(out))
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as exc:
        raise InputError(f"--out cannot be written: {exc.strerror}", file=str(out)) from exc
    return part


def _scored(model: Model, table: Table, written_as: Styles) -> Iterator[tuple[Batch, dict[int, str], Floats]]:
    """Batches with their bad rows and probabilities; a batch is scored while the next one is read."""
    features = model.specification.features
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[Batch, dict[int, str], Future[Floats]] | None = None
        for batch in table.batches(rows=CHUNK, everything=True):
            present = [f.name for f in features if f.name in table.names]
            columns = {
                name: written(batch.columns.column(name), written_as.numbers.get(name), table.name) for name in present
            }
            inputs, bad = encode(columns, features)
            bad |= dict.fromkeys(batch.ragged, RAGGED)
            scoring = pool.submit(model.score, inputs)
            if waiting:
                yield waiting[0], waiting[1], waiting[2].result()
            waiting = batch, bad, scoring
        if waiting:
            yield waiting[0], waiting[1], waiting[2].result()


def _answers(
    model: Model, p: Floats, batch: Batch, bad: dict[int, str], counted: Counted
) -> tuple[list[float | None], list[str | None]]:
    probabilities: list[float | None] = p.tolist()
    segments: list[str | None] = list(model.segments(p))
    for row in bad:
        probabilities[row] = segments[row] = None
    counted.rejected |= {counted.rows + row: bad[row] for row in sorted(bad)}
    counted.rows += len(batch)
    return probabilities, segments


class _CsvSink:
    def __init__(self, path: Path, table: Table, zipped: bool) -> None:
        raw = gzip.GzipFile(path, "wb", compresslevel=4) if zipped else path.open("wb")
        self._file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        self._name = table.name
        self._writer = csv.writer(self._file, delimiter=table.delimiter or ",", lineterminator="\n")
        self._writer.writerow([*table.header, *ADDED])

    def write(self, batch: Batch, probabilities: list[float | None], segments: list[str | None]) -> None:
        self._writer.writerows(
            zip(
                *(written(column, None, self._name) for column in batch.columns.columns),
                probabilities,
                segments,
                strict=True,
            )
        )

    def close(self) -> None:
        self._file.close()


class _ParquetSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, batch: Batch, probabilities: list[float | None], segments: list[str | None]) -> None:
        table = pa.Table.from_batches([batch.columns])
        table = table.append_column("probability", pa.array(probabilities, pa.float64()))
        table = table.append_column("segment", pa.array(segments, pa.string()))
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
