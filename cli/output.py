"""Where commands write: a directory replaced whole, a table by its suffix."""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layers.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = (".parquet", ".csv", ".csv.gz")
# What the commands write into a folder: each answer has one of the first, and the others beside it.
RESULTS = frozenset({"anomalies.parquet", "forecasts.parquet", "model.onnx"})
BESIDE = frozenset(
    {"rejected.parquet", "summary.json", "plot.png", "manifest.json", "report.json", "report.png", "explanation.npz"}
)


@contextmanager
def replaced_directory(path: Path, *, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A fresh directory to fill, which becomes `path` when the block ends well; else nothing has changed.

    Raises InputError when `path` is a file, cannot be made, or holds what must not be deleted: the working directory,
    one of `inputs`, or anything but an earlier answer of ours.
    """
    target = path.resolve()
    if target.exists() and not target.is_dir():
        raise InputError("--out is a file, not a directory", file=str(path))
    for kept in (Path.cwd(), *(Path(source).resolve() for source in inputs)):
        if kept.is_relative_to(target):
            raise InputError(f"--out would delete {kept.name or kept}, which lies in it", file=str(path))
    _check_replaceable(target, path)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        fresh.mkdir(parents=True)
    except OSError as exc:
        raise InputError(f"--out cannot be made: {exc.strerror}", file=str(path)) from exc
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for rest in (fresh, old):
            shutil.rmtree(rest, ignore_errors=True)


def _check_replaceable(target: Path, path: Path) -> None:
    names = {entry.name for entry in target.iterdir()} if target.exists() else set()
    if foreign := sorted(names - RESULTS - BESIDE):
        raise InputError(f"--out holds {foreign[0]}, which is none of our results: name another folder", file=str(path))
    if names and not names & RESULTS:
        raise InputError("--out holds no earlier result of ours: name another folder, or empty it", file=str(path))


def write_table(table: "pa.Table", path: Path) -> None:
    """Write Arrow rows as .parquet, .csv or .csv.gz, whichever the name says. Raises InputError when that cannot be."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    checked_suffix(path)
    with writable(path):
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, path)
        else:
            with pa.output_stream(str(path)) as stream:  # which packs what ends in .gz
                pyarrow.csv.write_csv(table, stream)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """For the writing of `path`, whose directory is made. Raises InputError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise InputError(f"cannot be written: {exc.strerror or exc}", file=str(path)) from exc


def readable(path: Path) -> None:
    """Raises InputError unless `path` is a file that can be read."""
    if not path.is_file():
        raise InputError("is not a file" if path.exists() else "does not exist", file=str(path))
    try:
        path.open("rb").close()
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", file=str(path)) from exc


def checked_suffix(path: Path, *suffixes: str) -> Path:
    """`path`, if its name ends as a table's, or in one of `suffixes`. Raises InputError."""
    allowed = suffixes or TABLE_SUFFIXES
    if not path.name.endswith(allowed):
        raise InputError(f"the name must end in {', '.join(allowed)}", file=str(path))
    return path
