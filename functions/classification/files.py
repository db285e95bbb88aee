"""Train and score on files, without a cloud."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from pydantic import ValidationError

from functions.classification.contracts import LEAF
from functions.classification.domain.model import Model
from functions.classification.domain.schema import Matrix, canonical, encode, whose
from functions.classification.domain.table import PRESETS, Columns, plain_values, read, refused_columns
from functions.classification.store import load_model
from layers.runtime.errors import CorruptError, InputError, NotFoundError
from layers.storage.manifest import Manifest, StoredFile, code_hash
from layers.tables import Batch, Preset, Reading, Styles, Table, open_table, styles
from layers.tables.numbers import is_text
from layers.tables.table import RAGGED

if TYPE_CHECKING:  # scoring needs nothing of what trains
    from functions.classification.domain.fit import Parameters, Progress
    from functions.classification.learn import Package

MANIFEST_FILE, REJECTED = "manifest.json", "rejected.parquet"
CHUNK = 20_000
NAMED = 3  # features that an explanation names

Write = Callable[[pa.RecordBatch], None]


def read_file(path: Path, reading: Reading | None = None) -> Columns:
    """A file of labelled rows. Raises InputError when it cannot be read."""
    with path.open("rb") as stream:
        return read(stream, str(path), reading=reading)


def require(columns: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """Raise InputError that names the first wanted column that the file lacks."""
    for name in wanted:
        if name not in columns:
            raise InputError(f"has no such column; it has {', '.join(columns)}", file=file, field=name)


def train_file(
    file: Path,
    table: Columns,
    directory: Path,
    parameters: "Parameters",
    *,
    target: str | None = None,
    features: str | None = None,
    preset: str | None = None,
    positive: str | None = None,
    group: str | None = None,
    in_order: bool = False,
    progress: "Progress | None" = None,
) -> tuple["Package", dict[int, str]]:
    """Learn from the table of a file and write the model into a directory, with a list of the rows not learnt from.

    `features`: names with commas between, or a list of the preset. Returns the model and why each rejected row is.
    Raises InputError that names the file.
    """
    from functions.classification.domain.splits import label
    from functions.classification.learn import learn

    columns = table.values
    target, chosen, refused = _chosen(list(columns), str(file), target, features, preset)
    group = group or whose({name: values for name, values in columns.items() if name != target})
    also = [] if group is None else [group]
    require(list(columns), also, str(file))
    used = {name: columns[name] for name in dict.fromkeys([*chosen, target, *also])}
    try:
        rows, meaning = label(used, target, positive=positive, group=group)
        package = learn(rows, meaning, parameters, in_order=in_order, refused=refused, progress=progress)
    except InputError as exc:
        raise InputError(exc.args[0], file=str(file), row=exc.row, field=exc.field) from exc
    _, bad = encode(columns, package.trained.model.specification.features)
    bad |= {row: f"{target} is null" for row, value in enumerate(columns[target]) if not canonical(value)}
    rejected = {table.rows[row]: reason for row, reason in bad.items()} | {one.row: one.reason for one in table.ragged}
    save_model(package, directory, hashlib.sha256(file.read_bytes()).hexdigest())
    write_rejected(rejected, directory / REJECTED)
    return package, rejected


def _chosen(
    header: list[str], file: str, target: str | None, features: str | None, preset: str | None
) -> tuple[str, list[str], list[str]]:
    """(target, columns to learn from, columns refused)."""
    if preset is not None and preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; there is {', '.join(PRESETS)}", field="--preset")
    known = PRESETS[preset] if preset else {}
    target = target or known.get("target")
    if not target:
        raise InputError(f"name the column to predict with --target; it has {', '.join(header)}", file=file)
    require(header, [target], file)
    refused = refused_columns(header, known.get("afterwards", []))
    if features is None:
        return target, [name for name in header if name not in (*refused, target)], refused
    names = known["book"] if preset and features == "book" else features.split(",")
    chosen = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    require(header, chosen, file)
    for name in chosen:
        if name in (*refused, target):
            raise InputError("known only afterwards, so it may not be learnt from", file=file, field=name)
    return target, chosen, refused


def save_model(package: "Package", directory: Path, data_hash: str = "") -> None:
    """Write the files of a model and its manifest, the same as in the registry, into a directory."""
    stored = {}
    for name, body in package.files.items():
        stored[name] = StoredFile(key=name, sha256=hashlib.sha256(body).hexdigest(), bytes=len(body))
        (directory / name).write_bytes(body)
    manifest = Manifest(
        leaf=LEAF,
        version=package.version,
        created_at=datetime.now(UTC),
        files=stored,
        data_hash=data_hash,
        code=code_hash(LEAF),
        **package.about,
    )
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n")


def load_directory(directory: Path, *, threads: int = 0, explained: bool = False) -> Model:
    """The model that `save_model` wrote. Raises InputError when there is none, CorruptError if it was changed.

    `explained`: with its explanation; InputError when it has none.
    """
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise InputError("there is no model in this directory", file=str(path)) from exc
    except ValidationError as exc:
        raise CorruptError(f"{path} is not a manifest") from exc

    def read_checked(name: str) -> bytes:
        if name not in manifest.files:
            raise NotFoundError(f"{path} lists no file {name}")
        body = (directory / name).read_bytes() if (directory / name).is_file() else b""
        if hashlib.sha256(body).hexdigest() != manifest.files[name].sha256:
            raise CorruptError(f"{directory / name} does not match its hash")
        return body

    model = load_model(manifest, read_checked, threads=threads, explained=explained)
    if explained and model.explanation is None:
        raise InputError("this model is of before there were explanations: train it again", file=str(path))
    return model


def write_rejected(rejected: Mapping[int, str], path: Path) -> None:
    """List rows (from 0) and why each was not used; no file for none."""
    path.unlink(missing_ok=True)
    if rejected:
        rows = sorted(rejected)
        pa.parquet.write_table(
            pa.table({"row": pa.array(rows, pa.int64()), "reason": [rejected[r] for r in rows]}), path
        )


@dataclass
class Counted:
    """What became of the rows: how many, and those (from 0) that could not be scored, each with its reason.

    `absent`: columns that the file lacks and the model takes as missing; `understood`: how the file was read.
    """

    rows: int = 0
    rejected: dict[int, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    understood: dict[str, Any] = field(default_factory=dict)


def score_file(model: Model, source: Path, out: Path, reading: Reading | None = None) -> Iterator[Counted]:
    """Write `source` to `out` with a probability and a segment per row, empty where there is none; yields progress.

    A model that was loaded with its explanation adds `explanation`: JSON of the features that moved the score furthest,
    the furthest first, and by how much.

    CSV stays CSV with its delimiter (compressed if `out` ends in .gz); an `out` that ends in .parquet is Parquet.
    Raises InputError when the file lacks a column that the model needs or has no rows, or when `out` cannot be written.
    """
    counted = Counted()
    with source.open("rb") as stream:
        table = open_table(stream, str(source), reading=reading)
        names = table.columns(Preset(others=True))
        counted.absent = _absent(model, table, names)
        numbers = [names[f.name] for f in model.specification.features if f.kind == "number" and f.name in names]
        texts = [name for name, kind in table.types.items() if is_text(kind)]
        number_styles = styles(table, numbers=[name for name in numbers if name in texts])
        counted.understood = table.understood()
        with _replaced(out, source) as part:
            with _parquet(part) if out.suffix == ".parquet" else _csv(part, out, table, _added(model)) as write:
                for rows, bad in _scored(model, table, names, number_styles):
                    write(rows)
                    counted.rejected |= {counted.rows + row: bad[row] for row in sorted(bad)}
                    counted.rows += len(rows)
                    yield counted
            if counted.rows == 0:
                raise InputError("the file has no rows", file=str(source))


def _absent(model: Model, table: Table, names: Mapping[str, str]) -> list[str]:
    """The model's columns that the table lacks and that may be missing. Raises InputError for another one."""
    features = model.specification.features
    absent = [f.name for f in features if f.nullable and f.name not in names]
    if len(absent) == len(features):
        raise InputError("has none of the model's columns", file=table.name)
    require([*names], [f.name for f in features if f.name not in absent], table.name)
    for name in _added(model):
        if name in table.names:
            raise InputError("the file already has this column", file=table.name, field=name)
    return absent


def _added(model: Model) -> list[str]:
    """The columns that scoring adds."""
    return ["probability", "segment"] if model.explanation is None else ["probability", "segment", "explanation"]


def _answered(model: Model, batch: Batch, x: Matrix, bad: dict[int, str]) -> tuple[pa.RecordBatch, dict[int, str]]:
    """The batch with the added columns, null in bad rows."""
    p, rows = model.score(x), batch.columns
    columns: list[Any] = [p, model.segments(p)]
    if (explained := model.explain(x, NAMED)) is not None:
        documents = ({name: round(part, 6) for name, part in parts} for parts in explained)
        columns.append([json.dumps(parts, ensure_ascii=False) for parts in documents])
    empty = np.isin(np.arange(len(batch)), [*bad])
    for name, values in zip(_added(model), columns, strict=True):
        kind = pa.float64() if name == "probability" else pa.string()
        rows = rows.append_column(name, pa.array(values, kind, mask=empty))
    return rows, bad


@contextmanager
def _replaced(out: Path, source: Path) -> Iterator[Path]:
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
    try:
        yield part
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _scored(
    model: Model, table: Table, names: Mapping[str, str], number_styles: Styles
) -> Iterator[tuple[pa.RecordBatch, dict[int, str]]]:
    """Batches with their added columns, and their bad rows; a batch is scored while the next one is read."""
    features = model.specification.features
    present = {f.name: names[f.name] for f in features if f.name in names}
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[tuple[pa.RecordBatch, dict[int, str]]] | None = None
        for batch in table.batches(rows=CHUNK, everything=True):
            columns = {
                ours: plain_values(batch.column(theirs), number_styles.numbers.get(theirs), table.name)
                for ours, theirs in present.items()
            }
            x, bad = encode(columns, features)
            scoring = pool.submit(_answered, model, batch, x, bad | dict.fromkeys(batch.ragged, RAGGED))
            if waiting:
                yield waiting.result()
            waiting = scoring
        if waiting:
            yield waiting.result()


@contextmanager
def _csv(path: Path, out: Path, table: Table, added: Iterable[str]) -> Iterator[Write]:
    raw = gzip.GzipFile(path, "wb", compresslevel=4) if out.suffix == ".gz" else path.open("wb")
    with io.TextIOWrapper(raw, encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=table.delimiter or ",", lineterminator="\n")
        writer.writerow([*table.header, *added])

        def write(rows: pa.RecordBatch) -> None:
            writer.writerows(zip(*(plain_values(cells, None, table.name) for cells in rows.columns), strict=True))

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    with pa.OSFile(str(path), "wb") as stream, ExitStack() as stack:
        writers: list[pa.parquet.ParquetWriter] = []

        def write(rows: pa.RecordBatch) -> None:
            if not writers:
                writers.append(stack.enter_context(pa.parquet.ParquetWriter(stream, rows.schema)))
            writers[0].write_batch(rows)

        yield write
