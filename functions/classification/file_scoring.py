"""Score a file of any size: chunk by chunk, rows in their order."""

import csv
import gzip
import io
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from functions.classification.bundle import require
from functions.classification.domain.schema import encode
from functions.classification.domain.scoring import Floats, Model
from functions.classification.records import Chunk, Reader, open_table
from layers.runtime.errors import InputError

ADDED = ("probability", "segment")


@dataclass
class Counted:
    """What became of the rows: how many, and those (from 0) that could not be scored, each with its reason.

    `absent`: columns that the file lacks and the model takes as missing.
    """

    rows: int = 0
    rejected: dict[int, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


class _Sink(Protocol):
    def write(self, chunk: Chunk, probabilities: list[float | None], segments: list[str | None]) -> None: ...
    def close(self) -> None: ...


def score_file(model: Model, source: Path, out: Path) -> Iterator[Counted]:
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
        reader = open_table(stream, str(source))
        features = model.specification.features
        counted.absent = [f.name for f in features if f.nullable and f.name not in reader.header]
        require(reader.header, [f.name for f in features if f.name not in counted.absent], str(source))
        for name in ADDED:
            if name in reader.header:
                raise InputError("the file already has this column", file=str(source), field=name)
        part = _prepared(out, source)
        try:
            sink: _Sink = (
                _ParquetSink(part) if out.suffix == ".parquet" else _CsvSink(part, reader, out.suffix == ".gz")
            )
            try:
                for chunk, bad, p in _scored(model, reader.chunks):
                    sink.write(chunk, *_answers(model, p, chunk, bad, counted))
                    yield counted
            finally:
                sink.close()
            if counted.rows == 0:
                raise InputError("the file has no rows", file=str(source))
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


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


def _scored(model: Model, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, dict[int, str], Floats]]:
    """Chunks with their bad rows and probabilities; a chunk is scored while the next one is read."""
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[Chunk, dict[int, str], Future[Floats]] | None = None
        for chunk in chunks:
            inputs, bad = encode(chunk.columns, model.specification.features)
            bad |= dict.fromkeys(chunk.ragged, "the number of fields differs from the header")
            scoring = pool.submit(model.score, inputs)
            if waiting:
                yield waiting[0], waiting[1], waiting[2].result()
            waiting = chunk, bad, scoring
        if waiting:
            yield waiting[0], waiting[1], waiting[2].result()


def _answers(
    model: Model, p: Floats, chunk: Chunk, bad: dict[int, str], counted: Counted
) -> tuple[list[float | None], list[str | None]]:
    probabilities: list[float | None] = p.tolist()
    segments: list[str | None] = list(model.segments(p))
    for row in bad:
        probabilities[row] = segments[row] = None
    counted.rejected |= {counted.rows + row: bad[row] for row in sorted(bad)}
    counted.rows += chunk.rows
    return probabilities, segments


class _CsvSink:
    def __init__(self, path: Path, reader: Reader, zipped: bool) -> None:
        raw = gzip.GzipFile(path, "wb", compresslevel=4) if zipped else path.open("wb")
        self._file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, delimiter=reader.delimiter or ",", lineterminator="\n")
        self._writer.writerow([*reader.header, *ADDED])

    def write(self, chunk: Chunk, probabilities: list[float | None], segments: list[str | None]) -> None:
        self._writer.writerows(zip(*chunk.columns.values(), probabilities, segments, strict=True))

    def close(self) -> None:
        self._file.close()


class _ParquetSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, chunk: Chunk, probabilities: list[float | None], segments: list[str | None]) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        table = chunk.arrow if chunk.arrow is not None else pa.table(chunk.columns)
        table = table.append_column("probability", pa.array(probabilities, pa.float64()))
        table = table.append_column("segment", pa.array(segments, pa.string()))
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
