import csv
import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import console
from cli.main import app
from functions.classification import files
from functions.classification import learn as learning
from functions.classification.domain import splits
from functions.classification.domain.fit import Parameters
from functions.classification.simulate import customers
from tests.tables import as_csv


def run(monkeypatch, capsys, *arguments):
    argv = ["trefoil", "classifier", *map(str, arguments), "--json"]
    monkeypatch.setattr("sys.argv", argv)
    status = console.run(app)
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def trefoil(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def write(path: Path, header, rows, delimiter=",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def churn(tmp_path_factory) -> Path:
    """Another schema: other names, integer target, nulls, booleans, padded numbers, ids, a constant, many values."""
    draw = random.Random(4)
    rows = []
    for i in range(900):
        spend = draw.gauss(50, 20)
        leaves = draw.random() < (0.1 + 0.6 * (spend < 35))
        plan = draw.choice(["basic", "plus", "pro", ""])
        money = f" {spend:.2f}" if i % 9 else "NA"
        town, code = f"town {int(draw.expovariate(0.02))}", draw.choice(["0012", "7", "15"])
        card = draw.choice(["True", "False"])
        rows.append([f"C-{i:05d}", money, plan, card, town, "EUR", i + 1, code, int(leaves)])
    header = ["Customer Number", "monthly spend (EUR)", "plan", "has.card", "town", "currency", "row", "code", "left?"]
    return write(tmp_path_factory.mktemp("churn") / "churn.tsv", header, rows, "\t")


@pytest.fixture(scope="module")
def churn_model(churn) -> Path:
    out = churn.parent / "model"
    rows, target = splits.label(files.read_file(churn).values, "left?")
    package = learning.learn(rows, target, Parameters(iterations=2, trees=30))
    out.mkdir()
    files.save_model(package, out)
    return out


def test_a_training_replaces_the_model_of_the_one_before(trefoil, tmp_path):
    path = write(tmp_path / "in.csv", ["x", "y"], [[i % 7, "yes" if i % 3 else "no"] for i in range(200)])
    for seed in (1, 2):
        status, _ = trefoil("train", path, "--target", "y", "--iterations", 1, "--seed", seed, "--out", tmp_path / "m")
        assert status == 0


def test_rows_that_were_not_learnt_from_are_listed(trefoil, tmp_path):
    rows = [[i % 7, "yes" if i % 3 else "no"] for i in range(200)]
    rows[5], rows[9], rows[11] = ["what", "yes"], [1, ""], [1]
    path = write(tmp_path / "in.csv", ["x", "y"], rows)
    status, answer = trefoil("train", path, "--target", "y", "--iterations", 1, "--out", tmp_path / "m")
    assert (status, answer["ragged"]) == (0, 1)
    listed = {row["row"]: row["reason"] for row in pq.read_table(tmp_path / "m" / "rejected.parquet").to_pylist()}
    assert answer["rejected_for"] == dict.fromkeys(listed.values(), 1)
    assert listed == {5: "x is not a number", 9: "y is null", 11: "has another number of fields than the header"}
    assert trefoil("score", tmp_path / "m", path, "--out", tmp_path / "s.csv")[1]["rejected"] == 2


def test_another_schema_is_learnt_and_identifiers_and_constants_named(churn_model):
    report = json.loads((churn_model / "report.json").read_text())
    assert report["target"] == "left?"
    assert report["positive"] == "1"
    assert set(report["dropped"]) == {"Customer Number", "currency", "row"}
    assert report["roc_auc"]["model"] > 0.65
    for metric in ("roc_auc", "average_precision", "f1", "brier", "calibration_error", "threshold"):
        assert set(report[metric]) == {"model", "dummy", "logistic", "champion"}
        assert report[metric]["champion"] is None


def test_scored_rows_keep_their_order_and_delimiter(trefoil, churn, churn_model, tmp_path):
    out = tmp_path / "scored.tsv"
    status, answer = trefoil("score", churn_model, churn, "--out", out)
    assert (status, answer["scored"], answer["rejected"]) == (0, 900, 0)
    with out.open() as scored:
        for row in csv.DictReader(scored, delimiter="\t"):
            low, high = answer["segments"][row["segment"]]
            assert low <= float(row["probability"]) <= high
    before, after = read(churn), read(out)
    assert after[0] == [*before[0], "probability", "segment"]
    assert [row[:-2] for row in after] == before
    threshold = json.loads((churn_model / "report.json").read_text())["threshold"]["model"]
    assert all((float(row[-2]) >= threshold) == (row[-1] == "target") for row in after[1:])


def test_each_row_says_which_features_moved_its_score_when_asked(trefoil, churn, churn_model, tmp_path):
    lines = churn.read_text().splitlines()
    lines[3] = lines[3].replace(lines[3].split("\t")[1], "a lot")
    path = write(tmp_path / "in.tsv", lines[0].split("\t"), [line.split("\t") for line in lines[1:]], "\t")
    trefoil("score", churn_model, path, "--out", tmp_path / "plain.tsv")
    status, answer = trefoil("score", churn_model, path, "--out", tmp_path / "out.tsv", "--explain")
    assert (status, answer["scored"]) == (0, 899)
    assert answer["explained"]["scale"] in ("log-odds", "probability")
    header, *rows = read(tmp_path / "out.tsv")
    assert header[-3:] == ["probability", "segment", "explanation"]
    assert [row[:-1] for row in rows] == read(tmp_path / "plain.tsv")[1:]
    assert rows.pop(2)[-1] == ""
    named = [json.loads(row[-1]) for row in rows]
    assert all(1 <= len(one) <= 3 and set(one) <= set(header) for one in named)
    assert all(list(map(abs, one.values())) == sorted(map(abs, one.values()), reverse=True) for one in named)
    assert sum(next(iter(one)) == "monthly spend (EUR)" for one in named) > 450
    high = max(rows, key=lambda row: float(row[-3]))
    assert json.loads(high[-1])["monthly spend (EUR)"] > 0


def test_a_place_that_scores_cannot_be_written_to_is_refused_and_the_input_is_never_overwritten(
    trefoil, churn, churn_model, tmp_path
):
    before = churn.read_bytes()
    for out in (churn, churn_model, churn / "scored.csv"):
        status, answer = trefoil("score", churn_model, churn, "--out", out)
        assert status == 2
        assert "--out" in answer["error"]
    assert churn.read_bytes() == before


def test_rows_that_cannot_be_scored_stay_empty_and_are_counted(trefoil, churn, churn_model, tmp_path):
    lines = churn.read_text().splitlines()
    broken = lines[3].split("\t")
    broken[1] = "a lot"
    lines[3] = "\t".join(broken)
    lines[5] = lines[5].rsplit("\t", 3)[0]
    unseen = lines[7].split("\t")
    unseen[2] = "platinum"
    lines[7] = "\t".join(unseen)
    path = tmp_path / "broken.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    status, answer = trefoil("score", churn_model, path, "--out", tmp_path / "out.tsv")
    assert (status, answer["rows"], answer["scored"]) == (0, 900, 898)
    assert answer["first_problem"] == "row 2: monthly spend (EUR) is not a number"
    assert answer["rejected_for"]["monthly spend (EUR) is not a number"] == 1
    listed = pq.read_table(tmp_path / "out.tsv.rejected.parquet").to_pylist()
    assert [row["row"] for row in listed] == [2, 4]
    assert listed[0]["reason"] == "monthly spend (EUR) is not a number"
    after = read(tmp_path / "out.tsv")
    assert after[3][-2:] == ["", ""]
    assert after[5][-2:] == ["", ""]
    assert after[7][-1] != ""


def test_parquet_gives_the_same_probabilities_as_csv(trefoil, churn, churn_model, tmp_path):
    header, *rows = read(churn)
    columns = {name: list(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)}
    spend = [None if value == "NA" else float(value) for value in columns["monthly spend (EUR)"]]
    table = pa.table(columns | {
        "monthly spend (EUR)": pa.array(spend, pa.float64()),
        "has.card": [value == "True" for value in columns["has.card"]],
        "plan": [value or None for value in columns["plan"]],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "churn.parquet")
    trefoil("score", churn_model, churn, "--out", tmp_path / "a.tsv")
    trefoil("score", churn_model, tmp_path / "churn.parquet", "--out", tmp_path / "b.parquet")
    ours = [float(row[-2]) for row in read(tmp_path / "a.tsv")[1:]]
    assert pq.read_table(tmp_path / "b.parquet")["probability"].to_pylist() == pytest.approx(ours, abs=1e-9)


def test_training_twice_gives_the_same_model_and_the_bank_preset_refuses_duration(trefoil, tmp_path):
    path = tmp_path / "customers.csv.gz"
    path.write_bytes(gzip.compress(as_csv(customers(700, seed=2))))
    answers = []
    for out in ("a", "b"):
        options = ("--preset", "bank", "--iterations", 1, "--value", 100, "--cost", 20, "--time-ordered")
        status, answer = trefoil("train", path, "--out", tmp_path / out, *options)
        assert status == 0
        answers.append(answer)
    assert answers[0]["version"] == answers[1]["version"]
    assert answers[0]["refused"] == ["duration"]
    assert answers[0]["threshold"]["model"] == pytest.approx(0.2)
    assert answers[0]["split"] == "order"
    assert set(answers[0]["profit"]) == {"model", "dummy", "logistic", "champion"}
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "explanation.npz", "manifest.json", "model.onnx", "report.json", "report.png",
    ]  # fmt: skip


def csv_of(tmp_path, header, rows) -> Path:
    return write(tmp_path / "in.csv", header, rows)


ROWS = [[i % 7, "yes" if i % 3 else "no"] for i in range(120)]


@pytest.mark.parametrize(
    ("arguments", "header", "rows", "message"),
    [
        ((), ["x", "y"], ROWS, "--target"),
        (("--target", "z"), ["x", "y"], ROWS, "z"),
        (("--target", "y"), ["x", "y"], [[1, "a"], [2, "b"], [3, "c"]], "two values, it has 3"),
        (("--target", "y"), ["x", "y"], [[1, "a"], [2, "a"]], "two values, it has 1"),
        (("--target", "y", "--positive", "maybe"), ["x", "y"], ROWS, "maybe"),
        (("--target", "y"), ["x", "y"], ROWS[:12], "too few rows"),
        (
            ("--target", "y"),
            ["x", "y"],
            [[i % 7, "yes" if i < 5 else "no"] for i in range(99)],
            "20 of each kind are needed",
        ),
        (("--target", "y"), ["x", "y"], [[int(y == "yes"), y] for _, y in ROWS], "left to learn from: x (repeats the"),
        (("--target", "y"), ["a", "b", "y"], [["k", 1, y] for _, y in ROWS], "from: a (constant), b (constant)"),
        (
            ("--target", "y"),
            [*(f"n{i}" for i in range(300)), "y"],
            [["k"] * 300 + [y] for _, y in ROWS],
            "n3 (constant), n4 (constant), ..",
        ),
        (("--target", "y"), ["x", "y"], [], "no rows"),
        (("--target", "y"), ["x", "x"], ROWS, "columns 1 and 2 have the same name"),
        (("--target", "y", "--features", "x,nope"), ["x", "y"], ROWS, "nope"),
        (("--target", "y", "--value", 3), ["x", "y"], ROWS, "--cost"),
        (("--target", "y", "--value", 3, "--cost", 3), ["x", "y"], ROWS, "--cost"),
        (("--preset", "nope"), ["x", "y"], ROWS, "nope"),
        (("--preset", "bank", "--features", "duration"), ["duration", "y"], ROWS, "afterwards"),
    ],
)
def test_a_mistake_is_told_in_one_line(trefoil, tmp_path, arguments, header, rows, message):
    path = csv_of(tmp_path, header, rows)
    status, answer = trefoil("train", path, "--out", tmp_path / "model", *arguments)
    assert status == 2
    assert message in answer["error"]
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "body", [b"", b"PAR1 this is not parquet", b"\x1f\x8b\x08 broken", b"\xff\xfe\x00\x01\x02", b"\n"]
)
def test_a_foreign_or_broken_file_is_told(trefoil, tmp_path, body):
    (tmp_path / "in.csv").write_bytes(body)
    status, answer = trefoil("train", tmp_path / "in.csv", "--target", "y", "--out", tmp_path / "model")
    assert status == 2
    assert "in.csv" in answer["error"]


def test_scoring_tells_what_is_missing(trefoil, churn, churn_model, tmp_path):
    path = csv_of(tmp_path, ["x"], [[1]])
    status, answer = trefoil("score", churn_model, path, "--out", tmp_path / "out.csv")
    assert status == 2
    assert "has.card" in answer["error"]
    assert not (tmp_path / "out.csv").exists()
    assert trefoil("score", tmp_path, churn, "--out", tmp_path / "out.csv")[0] == 2
    assert trefoil("score", churn_model, tmp_path / "nope.csv", "--out", tmp_path / "out.csv")[0] == 2


@pytest.fixture(scope="module")
def german(tmp_path_factory) -> Path:
    draw, rows = random.Random(0), []
    for i in range(600):
        x, price = draw.gauss(0, 1), draw.uniform(100, 9_000)
        born = f"{draw.randrange(1, 29):02}.{draw.randrange(1, 13):02}.19{draw.randrange(40, 99)}"
        note = " ".join(draw.sample(["a", "late", "parcel", "came", "open", "again", "to", "me"], 6))
        weight = f"{x:.3f}".replace(".", ",") if i % 20 else ""
        rows.append(
            [weight, f"${price:,.2f}", born, note, f"author {i}", int(x + price / 4_500 + draw.gauss(0, 0.4) > 1.5)]
        )
    return write(tmp_path_factory.mktemp("german") / "in.csv", ["kg", "price", "dob", "note", "author", "y"], rows, ";")


def test_numbers_are_read_as_they_are_written_and_dates_texts_and_names_left_out(trefoil, german, tmp_path):
    status, answer = trefoil("train", german, "--target", "y", "--iterations", 1, "--out", tmp_path / "m")
    assert status == 0
    assert {name: read["read_as"] for name, read in answer["columns"].items()} == {"kg": "number", "price": "number"}
    assert answer["columns"]["kg"]["missing"] == pytest.approx(0.05, abs=0.03)
    assert {name: why.split()[0] for name, why in answer["dropped"].items()} == {
        "dob": "a", "note": "free", "author": "too",
    }  # fmt: skip
    assert answer["understood"]["decimal"] == {"kg": ",", "price": "."}
    status, scored = trefoil("score", tmp_path / "m", german, "--out", tmp_path / "s.csv")
    assert (status, scored["scored"]) == (0, 600)
    header, *rows = csv.reader((tmp_path / "s.csv").read_text().splitlines(), delimiter=";")
    table = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    table["kg"] = [float(cell.replace(",", ".")) if cell else None for cell in table["kg"]]
    table["price"] = [float(cell.replace(",", "")[1:]) for cell in table["price"]]
    ours = list(map(float, table.pop("probability")))
    table.pop("segment")
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    trefoil("score", tmp_path / "m", tmp_path / "in.parquet", "--out", tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet")["probability"].to_pylist() == pytest.approx(ours, abs=1e-9)
    assert max(ours) > 2 * min(ours)


def test_numbers_that_can_be_read_in_two_ways_are_asked_for(trefoil, tmp_path):
    path = write(tmp_path / "in.csv", ["x", "y"], [[f"{1 + i % 9}.{i % 7}00", int(i % 9 > 5)] for i in range(300)], ";")
    options = ("train", path, "--target", "y", "--iterations", 1, "--out", tmp_path / "m")
    status, answer = trefoil(*options)
    assert status == 2
    assert "in.csv: x: " in answer["error"]
    assert "--decimal" in answer["error"]
    assert trefoil(*options, "--decimal", ",")[0] == 0


def test_a_file_that_shares_no_column_with_the_model_is_refused(trefoil, german, tmp_path):
    trefoil("train", german, "--target", "y", "--features", "kg", "--iterations", 1, "--out", tmp_path / "m")
    path = write(tmp_path / "in.csv", ["x", "y"], [[1, 2]])
    status, answer = trefoil("score", tmp_path / "m", path, "--out", tmp_path / "s.csv")
    assert status == 2
    assert "none of the model's columns" in answer["error"]


def test_a_year_that_is_none_is_told_by_file(trefoil, churn, churn_model, tmp_path):
    header, *rows = read(churn)
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(header)})
    table = table.append_column("when", pa.array([2**60] * len(rows), pa.timestamp("us")))
    pq.write_table(table, tmp_path / "in.parquet")
    for arguments in (("score", churn_model), ("train",)):
        options = ("--target", "left?") if arguments[0] == "train" else ()
        status, answer = trefoil(*arguments, tmp_path / "in.parquet", *options, "--out", tmp_path / "out.csv")
        assert (status, "in.parquet" in answer["error"]) == (2, True)


def test_a_file_of_before_a_column_came_is_scored_without_it_and_that_is_told(trefoil, churn, churn_model, tmp_path):
    header, *rows = read(churn)
    old = header.index("plan")
    header, *rows = ([*row[:old], *row[old + 1 :]] for row in [header, *rows])
    path = write(tmp_path / "old.tsv", header, rows, "\t")
    status, answer = trefoil("score", churn_model, path, "--out", tmp_path / "out.tsv")
    assert (status, answer["scored"], answer["absent"]) == (0, 900, ["plan"])


def test_a_changed_model_is_our_failure(trefoil, churn, churn_model, tmp_path):
    for name in ("model.onnx", "manifest.json"):
        (tmp_path / name).write_bytes((churn_model / name).read_bytes())
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"x")
    status, answer = trefoil("score", tmp_path, churn, "--out", tmp_path / "out.csv")
    assert status == 1
    assert "hash" in answer["error"]


def test_the_bank_file_of_uci(trefoil, tmp_path, real_data):
    bank, options = real_data / "customers" / "bank.csv", ("--preset", "bank", "--target", "y", "--iterations", 1)
    status, answer = trefoil("train", bank, *options, "--out", tmp_path / "m")
    assert status == 0
    assert answer["average_precision"]["model"] > 0.25
    status, answer = trefoil("score", tmp_path / "m", bank, "--out", tmp_path / "scored.csv")
    assert (status, answer["scored"]) == (0, 4_521)
    header = (tmp_path / "scored.csv").read_text().splitlines()[0]
    assert header.startswith("age;job;")
    assert header.endswith(";probability;segment")


def test_columns_of_other_names_are_named_in_training_and_scoring(trefoil, tmp_path):
    table = customers(600, seed=3)
    names = {"y": "bought", "age": "Age in years"}
    file, out = tmp_path / "own.csv", tmp_path / "scored.csv"
    file.write_bytes(as_csv(table.rename_columns([names.get(name, name) for name in table.column_names])))
    named = [word for ours, theirs in names.items() for word in ("--column", f"{ours}={theirs}")]
    cheap = ("--target", "y", "--iterations", 1)
    status, report = trefoil("train", file, "--out", tmp_path / "model", *cheap, *named)
    assert status == 0
    assert report["understood"]["columns"] == names
    status, answer = trefoil("score", tmp_path / "model", file, "--out", out, *named)
    assert (status, answer["scored"], answer["absent"]) == (0, 600, [])
    assert out.read_text().startswith(",".join(names.get(n, n) for n in table.column_names))
    status, answer = trefoil("score", tmp_path / "model", file, "--out", out, "--column", "age=Years")
    assert (status, f"{file}: Years: has no such column" in answer["error"]) == (2, True)
