"""Analysts' verdicts: what `trefoil anomalies --verdicts` and the nightly run say of them."""

import gzip
import io
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.clustering.domain import verdicts
from functions.clustering.domain.fit import fit
from functions.clustering.domain.model import BOOK, Parameters
from functions.clustering.domain.report import KINDS, kind, reasons
from layers.runtime.errors import InputError
from layers.tables import Reading
from tests import clustering
from tests.clustering import DAY, World, key
from tests.unit.clustering.conftest import Command, write


@pytest.fixture
def flagged(command: Command, rides: Path) -> list[dict[str, Any]]:
    """Flagged rides of the file, most severe first."""
    command(rides)
    rows = [row for row in command.table().to_pylist() if row["is_anomaly"]]
    return sorted(rows, key=lambda row: -row["severity"])


def csv(path: Path, rows: list[tuple[Any, ...]], header: str = "ride_id,verdict,at") -> Path:
    return write(path, "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def test_verdicts_tell_precision_by_severity_and_the_severity_that_would_have_served(
    command: Command, rides: Path, tmp_path: Path, flagged: list[dict[str, Any]]
) -> None:
    """Analysts confirm what is twice as far from the ordinary, and call the rest false alarms."""
    words = [(row["ride_id"], "confirmed" if row["severity"] >= 2 else "false_alarm") for row in flagged]
    normal = next(row["ride_id"] for row in command.table().to_pylist() if not row["is_anomaly"])
    path = csv(tmp_path / "words.csv", [*words, (normal, "confirmed"), ("nobody", "confirmed")], "ride_id,verdict")
    before = command.table()
    status, printed = command(rides, "--verdicts", path)
    assert (status, command.table()) == (0, before)
    said = command.summary()["verdicts"]
    right = [row for row in flagged if row["severity"] >= 2]
    assert (said["judged"], said["not_flagged"], said["unknown"]) == (len(flagged), 1, 1)
    whole, *_ = said["precision"]
    assert (whole["severity"], whole["judged"], whole["confirmed"]) == (1.0, len(flagged), len(right))
    assert whole["low"] < whole["precision"] == round(len(right) / len(flagged), 4) < whole["high"]
    for step in said["precision"]:
        assert step["judged"] == sum(row["severity"] >= step["severity"] for row in flagged)
    served = next(step for step in said["precision"] if step["severity"] == said["severity"])
    assert served["low"] >= 0.5
    lower = (step for step in said["precision"] if step["severity"] < said["severity"])
    assert all(step["low"] < 0.5 for step in lower)
    assert said["share"] == served["judged"] / command.summary()["rides"]
    line = next(line for line in printed.splitlines() if line.startswith(f"{path}: "))
    assert f"{len(flagged)} flags were judged, {len(right)} of them confirmed" in line
    assert f"severity {said['severity']:g} or more would have served" in line
    assert "1 verdicts are on unknown rides" in line


def test_of_a_ride_the_newest_word_holds_and_one_that_was_taken_back_does_not_count(
    command: Command, rides: Path, tmp_path: Path, flagged: list[dict[str, Any]]
) -> None:
    one, two, three, four = (row["ride_id"] for row in flagged[:4])
    rows = [
        (one, "false_alarm", "2026-03-15T09:00:00+01:00"),
        (one, "confirmed", "2026-03-15T07:59:59Z"),
        (two, "confirmed", "2026-03-15T08:00:00Z"),
        (two, "", "2026-03-16T08:00:00Z"),
        (three, "false_alarm", "2026-03-15T08:00:00Z"),
        (three, "confirmed", "2026-03-15T08:00:00Z"),
        (four, "confirmed", ""),
    ]
    status, printed = command(rides, "--verdicts", csv(tmp_path / "w.csv", rows))
    said = command.summary()["verdicts"]
    assert (status, said["judged"], said["precision"][0]["confirmed"], said["severity"]) == (0, 3, 2, None)
    assert "too few to suggest a severity, which takes 20" in printed


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl", "jsonl.gz"])
def test_an_export_is_read_in_every_form_that_a_query_leaves(
    command: Command, rides: Path, tmp_path: Path, flagged: list[dict[str, Any]], kind: str
) -> None:
    rows = [
        {"ride_id": row["ride_id"], "verdict": word, "dt": "2026-03-14", "at": f"2026-03-15T00:00:{i:02}.000000Z"}
        for i, (row, word) in enumerate(zip(flagged, ["confirmed", None, "false_alarm", "confirmed"], strict=False))
    ]
    path, table = tmp_path / f"export.{kind}", pa.Table.from_pylist(rows)
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(table, buffer)
        lines = "\n".join(json.dumps(row) for row in rows) + "\n\n"
        body = buffer.getvalue() if kind.startswith("csv") else lines.encode()
        path.write_bytes(gzip.compress(body) if kind.endswith("gz") else body)
    assert command(rides, "--verdicts", path)[0] == 0
    said = command.summary()["verdicts"]
    assert (said["judged"], said["precision"][0]["confirmed"], said["unknown"]) == (3, 2, 0)


def test_ids_that_are_numbers_are_those_of_the_rides(command: Command, tmp_path: Path) -> None:
    lines = [f"{i},{3 + i / 100},{0.2 + i % 60 / 1000}" for i in range(200)]
    path = write(tmp_path / "r.csv", "\n".join(["ride_id,ride_dist,ride_time", *lines, "777,50,0.35"]))
    words = write(tmp_path / "w.jsonl", '{"ride_id": 777, "verdict": "confirmed"}\n')
    assert command(path, "--verdicts", words)[0] == 0
    assert command.summary()["verdicts"]["judged"] == 1


def test_ids_of_rides_are_read_from_lines_of_json_as_they_are_written() -> None:
    ids = ["2009-06-15 17:26:21", "2009-06-15", "2009-06-15T17:26:21.0000001Z", 12345678901234567890123, 1, "a", 1.5]
    lines = "\n".join(json.dumps({"ride_id": ride_id, "verdict": "confirmed"}) for ride_id in ids)
    words = verdicts.read_words(io.BytesIO(lines.encode()), "w", Reading())
    assert words == dict.fromkeys(map(str, ids), True)


def test_verdicts_in_a_file_that_ends_too_soon_are_refused() -> None:
    lines = "\n".join(json.dumps({"ride_id": i, "verdict": "confirmed"}) for i in range(1000)).encode()
    with pytest.raises(InputError, match="w: cannot be read as verdicts"):
        verdicts.read_words(io.BytesIO(gzip.compress(lines)[:-20]), "w", Reading())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ride_id,verdict\na,confirmed\nb,maybe\n", "w: row 1: verdict: is neither confirmed nor false_alarm"),
        ("ride_id,verdict\n,confirmed\n", "w: row 0: ride_id: is missing"),
        ("ride_id,verdict\na,confirmed\nb\n", "w: row 1: has another number of fields than the header"),
        ("ride,verdict\na,confirmed\n", "w: ride_id: has no such column; it has ride, verdict"),
        ('{"ride_id": "a", "verdict": "confirmed"}\n{"ride_id": \n', "w: row 1: is no object of JSON"),
        ('{"ride_id": "a", "verdict": "confirmed"}\n7\n', "w: row 1: is no object of JSON"),
        ('{"ride_id": "\\ud800", "verdict": "confirmed"}\n', "w: cannot be read as verdicts"),
        ('{"ride_id": "a", "verdict": 1}\n', "w: row 0: verdict: is neither confirmed nor false_alarm"),
        ('{"ride": "a"}\n', "w: ride_id: has no such column"),
        ("", "w: "),
    ],
)
def test_verdicts_that_cannot_be_read_are_named_before_anything_is_labelled(
    command: Command, rides: Path, tmp_path: Path, text: str, said: str
) -> None:
    status, printed = command(rides, "--verdicts", write(tmp_path / "w", text))
    assert (status, said in printed) == (2, True), printed
    assert not command.out.exists()


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_an_interval_holds_its_share_and_fewer_are_judged_the_higher_the_severity(
    rows: list[tuple[float, bool]],
) -> None:
    severity, confirmed = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.empty(0),) * 2
    said = verdicts.report(severity.astype(float), confirmed.astype(bool), 0)
    assert said.judged + said.not_flagged == len(rows)
    counts = [step.judged for step in said.precision]
    assert counts == sorted(set(counts), reverse=True)
    for step in said.precision:
        assert 0 <= step.low <= step.precision <= step.high <= 1
    if said.severity is not None:
        assert said.judged >= 20


def test_the_interval_is_wilsons() -> None:
    """7 of 20: 0.181 to 0.567 (Newcombe 1998 has such a table for 95 %)."""
    (step,) = verdicts.report(np.full(20, 1.1), np.arange(20) < 7, 0).precision
    assert (step.low, step.high) == (0.1812, 0.5671)


def say(world: World, day: date, ride_id: str, verdict: str | None, severity: float | None) -> None:
    word = {"ride_id": ride_id, "verdict": verdict} | ({} if severity is None else {"severity": severity})
    world.lake.put(f"verdicts/dt={day}/{ride_id}.json", json.dumps(word).encode())


def test_the_nightly_run_tells_what_was_said_of_the_days_before() -> None:
    world, earlier = World(), DAY - timedelta(days=1)
    for day, seed in ((earlier, 0), (DAY, 1)):
        world.lake.put(key(day), clustering.rides(seed=seed))
    for i in range(25):
        say(world, earlier, f"r{i}", "confirmed" if i < 20 else "false_alarm", 1.5 + i / 100)
    say(world, earlier, "back", None, 9.0)
    say(world, earlier, "old", "confirmed", None)
    say(world, DAY - timedelta(days=40), "older", "confirmed", 9.0)
    world.lake.put(f"verdicts/dt={earlier}/notes.json", b"{}")
    assert world.run()["status"] == "published"
    found = world.truth()
    assert found is not None
    manifest, rows = found
    said = manifest.verdicts
    assert said is not None
    assert (said.judged, said.not_flagged, said.unknown, said.severity) == (25, 0, 1, 1.5)
    assert [(step.severity, step.confirmed, step.judged) for step in said.precision] == [(1.5, 20, 25)]
    severe = sum(value >= 1.5 for value in rows["severity"].to_pylist())
    assert said.share == severe / manifest.rides > 0
    summary = json.loads(world.lake.get(f"anomalies/reports/dt={DAY}/run={manifest.run_id}/summary.json"))
    assert summary["verdicts"] == said.model_dump()
    assert summary["rides_of_severity"]["1.5"] == severe


def test_without_verdicts_a_run_says_nothing_of_them_and_new_ones_start_no_run() -> None:
    world = World()
    world.lake.put(key(DAY), clustering.rides())
    world.run()
    found = world.truth()
    assert found is not None
    assert found[0].verdicts is None
    say(world, DAY, "r0", "confirmed", 2.0)
    assert world.run()["status"] == "skipped"


@pytest.mark.parametrize("params", ["robust", "book"])
def test_every_flag_has_the_kind_of_its_reason(params: str) -> None:
    drawn = np.random.default_rng(0)
    model = fit(drawn.uniform(1, 10, 2_000), drawn.uniform(0.1, 0.5, 2_000), BOOK if params == "book" else Parameters())
    dist, time = 10 ** drawn.uniform(-3, 4, 4_000), 10 ** drawn.uniform(-3, 3, 4_000)
    words = reasons(model, dist, time).to_pylist()
    kinds = [kind(text) for text in words]
    assert {*kinds} == ({"far", "near", "long", "brief"} if params == "book" else {*KINDS} - {"long", "brief"})
    for one, km, text in zip(kinds, dist, words, strict=True):
        assert one != "far" or km > 5, text
        assert one != "near" or km < 6, text
        assert (one == "impossible") == ("over the possible 160 km/h" in text)
