"""What a command writes is there whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cli.output import readable, replaced_directory, write_table
from layers.runtime.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_directory_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for name in ("anomalies.parquet", "forecasts.parquet"):
        with replaced_directory(out) as fresh:
            (fresh / name).write_text(name)
            (fresh / "summary.json").touch()
        assert names(out) == [name, "summary.json"]
    assert names(tmp_path / "deep") == ["out"]
    assert out.stat().st_mode & 0o055 == 0o055


@pytest.mark.parametrize("error", [InputError("x"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    with replaced_directory(out) as fresh:
        (fresh / "model.onnx").touch()

    def fail() -> None:
        with replaced_directory(out) as fresh:
            (fresh / "half").touch()
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(out) == ["model.onnx"]
    assert names(tmp_path) == ["out"]


def test_an_answer_that_cannot_be_put_in_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename
    with replaced_directory(out) as fresh:
        (fresh / "model.onnx").touch()
    full = iter([False, True])

    def fails_second(path: Path, target: Path) -> Path:
        if next(full, False):
            raise OSError("no space")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_second)
    with pytest.raises(OSError, match="no space"), replaced_directory(out) as fresh:
        (fresh / "anomalies.parquet").touch()
    assert names(out) == ["model.onnx"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (["thesis.docx"], "holds thesis.docx"),
        (["anomalies.parquet", "notes.txt"], "holds notes.txt"),
        (["summary.json", "plot.png"], "holds no earlier result"),
        (["model.onnx", "anomalies"], "holds anomalies"),
    ],
)
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, there: list[str], told: str) -> None:
    for name in there:
        path = tmp_path / "out" / name
        if name == "anomalies":
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text("kept")
    with pytest.raises(InputError, match=told), replaced_directory(tmp_path / "out"):
        raise AssertionError("nothing may be computed for a folder that cannot be written")
    assert names(tmp_path / "out") == sorted(there)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    with replaced_directory(tmp_path) as fresh:
        (fresh / "model.onnx").touch()
    assert names(tmp_path) == ["model.onnx"]


def test_it_does_not_delete_files_workplaces_or_its_own_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data" / "rides.csv"
    data.parent.mkdir()
    data.touch()
    with pytest.raises(InputError, match="is a file"), replaced_directory(data):
        pass
    with pytest.raises(InputError, match=r"would delete rides.csv"), replaced_directory(data.parent, inputs=[data]):
        pass
    monkeypatch.chdir(data.parent)
    for here in (Path(), Path("..")):
        with pytest.raises(InputError, match="would delete data"), replaced_directory(here):
            pass
    assert data.exists()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_a_table_is_written_as_its_name_says(tmp_path: Path, suffix: str) -> None:
    table, path = pa.table({"a": [1, 2], "b": ["x", None]}), tmp_path / f"t{suffix}"
    write_table(table, path)
    back = pq.read_table(path) if suffix == ".parquet" else pyarrow.csv.read_csv(path)
    assert back["a"].to_pylist() == [1, 2]
    with pytest.raises(InputError, match="must end in"):
        write_table(table, tmp_path / "t.xlsx")


def test_a_table_that_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_table(pa.table({"a": [1]}), tmp_path / "file" / "x.csv")


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "rides.csv"
    for path, reason in ((file, "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(InputError, match=reason):
            readable(path)
    file.write_text("")
    readable(file)
    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(InputError, match=r"rides\.csv: cannot be read: Permission denied"):
        readable(file)
