"""`trefoil anomalies` on files: what it writes, and one clear line for what it cannot use."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from functions.clustering import files, simulate
from functions.clustering.contracts import LABEL_SCHEMA, REJECTED_SCHEMA
from tests.unit.clustering.conftest import Command, write

TRIP_NAMES, STAMP = ("lpep_pickup_datetime", "lpep_dropoff_datetime", "trip_distance"), pa.timestamp("us")


def test_it_writes_one_row_per_ride_in_order_and_three_reports(command: Command, rides: Path) -> None:
    status, printed = command(rides, "--json")
    assert status == 0
    found, summary = command.table(), command.summary()
    assert found.schema == LABEL_SCHEMA
    assert found["ride_id"].to_pylist() == pq.read_table(rides)["ride_id"].to_pylist()
    assert command.table("rejected").schema == REJECTED_SCHEMA
    assert command.table("rejected").num_rows == 0
    assert (command.out / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(printed.splitlines()[0]) == summary
    assert printed.splitlines()[1] == f"{rides}: Parquet; ride_id, ride_dist, ride_time"
    assert summary["understood"] == {str(rides): {"kind": "parquet", "columns": "ride_id, ride_dist, ride_time"}}
    assert summary["rides"] == 3_000
    assert summary["anomalies"] == pc.sum(found["is_anomaly"]).as_py() > 0
    assert {"clusters", "eps", "min_samples", "silhouette", "seconds", "rejected"} <= set(summary)
    anomalous = found["is_anomaly"].to_numpy()
    assert (found["severity"].to_numpy() > 1).tolist() == anomalous.tolist()
    assert (found["label"].to_numpy() == -1).tolist() == anomalous.tolist()
    assert found["reason"].is_null().to_numpy().tolist() == (~anomalous).tolist()


def test_the_same_input_gives_the_same_output(command: Command, rides: Path) -> None:
    command(rides)
    first = command.table()
    command(rides)
    assert command.table() == first


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_says_what_parquet_says(command: Command, rides: Path, tmp_path: Path, suffix: str) -> None:
    command(rides)
    expected = command.table()
    text = tmp_path / f"rides{suffix}"
    plain = tmp_path / "plain.csv"
    pyarrow.csv.write_csv(pq.read_table(rides), plain)
    text.write_bytes(gzip.compress(plain.read_bytes()) if suffix.endswith("gz") else plain.read_bytes())
    assert command(text)[0] == 0
    assert command.table() == expected


def test_a_large_file_is_split_and_says_the_same(
    command: Command, rides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(rides), rides, row_group_size=500)
    command(rides)
    whole = command.table()
    monkeypatch.setattr(files, "PART_BYTES", 0)
    assert command(rides)[0] == 0
    assert command.table() == whole


def test_bad_rows_are_rejected_with_file_row_and_reason(command: Command, rides: Path, tmp_path: Path) -> None:
    bad = write(
        tmp_path / "bad.csv",
        "extra,ride_id,ride_dist,ride_time\n"
        "1,a,3.5,0.1\n1,b,0,0.1\n1,c,2,-1\n1,a,3,0.1\n1,d,two,0.1\n1,e,inf,0.1\n1,,2,0.1\n1,f,2,\n1,g\n1,h,2,0.1\n1,i,0,1\n",
    )
    status, printed = command(rides, bad)
    assert status == 0
    assert "rejected: 2 rows: distance is zero" in printed
    assert next(iter(command.summary()["rejected_for"].items())) == ("distance is zero", 2)
    rejected = command.table("rejected").to_pylist()
    assert {row["file"] for row in rejected} == {str(bad)}
    assert {row["row"]: row["reason"] for row in rejected} == {
        1: "distance is zero",
        2: "time is negative",
        3: "ride_id comes a second time in this file",
        4: "distance is missing or not a number",
        5: "distance is infinite",
        6: "ride_id is missing",
        7: "time is missing or not a number",
        8: "has another number of fields than the header",
        10: "distance is zero",
    }
    assert command.table()["ride_id"].to_pylist()[-2:] == ["a", "h"]
    assert command.summary()["rejected"] == 9


@pytest.mark.parametrize("params", ["robust", "book"])
def test_distances_and_times_beyond_any_ride_are_rejected_with_the_limit(
    command: Command, rides: Path, tmp_path: Path, params: str
) -> None:
    lines = ["a,1e308,1", "b,1e200,1", "c,100001,900", "d,10,1e200", "e,10,10001", "f,1e-320,1", "g,1,4e-320", "h,9,.3"]
    bad = write(tmp_path / "bad.csv", "\n".join(["ride_id,ride_dist,ride_time", *lines, ""]))
    assert command(bad, rides, "--params", params)[0] == 0
    assert {row["row"]: row["reason"] for row in command.table("rejected").to_pylist()} == {
        **dict.fromkeys((0, 1, 2), "distance is over 100,000 km"),
        **dict.fromkeys((3, 4), "time is over 10,000 h"),
        5: "distance is zero",
        6: "time is zero",
    }
    assert command.summary()["rides"] == 3_001


def test_of_an_id_that_comes_twice_the_first_valid_ride_is_kept(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "ride_id,ride_dist,ride_time\nx,0,1\nx,3,0.1\nx,4,0.1\ny,3,0.1\n")
    command(path)
    assert command.table()["ride_id"].to_pylist() == ["x", "y"]
    assert command.table("rejected")["row"].to_pylist() == [0, 2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty.csv: is empty"),
        ("header.csv", b"ride_id,ride_dist,ride_time\n", "header.csv: holds no valid ride"),
        (
            "missing.csv",
            b"ride_id,ride_dist\n1,2\n",
            "missing.csv: ride_time: has no such column; it has ride_id, ride_dist; name it by --column ride_time=NAME",
        ),
        (
            "invalid.csv",
            b"ride_id,ride_dist,ride_time\na,0,0\n",
            "invalid.csv: row 0: ride_dist: distance is zero; no row is a valid ride",
        ),
        (
            "epoch.csv",
            b"ride_id,ride_dist,start,end\na,1,1561939200,1561940000\n",
            "epoch.csv: row 0: start and end: time is missing or not a number; no row is a valid ride",
        ),
        ("foreign.parquet", b"%PDF-1.4 foreign", "foreign.parquet: ride_id: has no such column"),
        ("binary.csv", b"PAR1\xff\xfe\x00\x01", "binary.csv: cannot be read as Parquet"),
        (
            "cut.csv.gz",
            gzip.compress(b"ride_id,ride_dist,ride_time\na,1,1\n" * 50, mtime=0)[:30],
            "cut.csv.gz: cannot be read as gzip",
        ),
    ],
)
def test_what_cannot_be_used_is_the_users_and_leaves_the_last_results(
    command: Command, rides: Path, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    command(rides)
    before = command.table()
    path = tmp_path / name
    path.write_bytes(content)
    status, printed = command(path)
    assert status == 2
    assert said in " ".join(printed.split())
    assert printed.strip().count("\n") == 0
    assert command.table() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_truncated_parquet_file_and_a_wrong_type_exit_2(command: Command, rides: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(rides.read_bytes()[:5_000])
    assert command(cut)[0] == 2
    wrong = tmp_path / "wrong.parquet"
    pq.write_table(pa.table({"ride_id": ["a"], "ride_dist": [[1.0]], "ride_time": [1.0]}), wrong)
    status, printed = command(wrong)
    assert status == 2
    assert "wrong.parquet: ride_dist: is of type list" in printed
    for ids in ([b"\xff"], [[1]]):
        pq.write_table(pa.table({"ride_id": ids, "ride_dist": [1.0], "ride_time": [1.0]}), wrong)
        status, printed = command(wrong)
        assert (status, "wrong.parquet: ride_id: holds values that are no text" in printed) == (2, True)


def test_missing_files_and_an_out_that_holds_the_input_exit_2(command: Command, rides: Path, tmp_path: Path) -> None:
    assert command(tmp_path / "no.csv")[0] == 2
    assert command(tmp_path)[0] == 2
    command.out = tmp_path
    assert command(rides)[0] == 2
    assert rides.exists()


def test_json_errors_are_one_object(command: Command, tmp_path: Path) -> None:
    status, printed = command(tmp_path / "no.csv", "--json")
    assert status == 2
    assert "does not exist" in json.loads(printed.splitlines()[0])["error"]


def test_integer_ids_stay_integers_and_text_stays_text(command: Command, tmp_path: Path) -> None:
    table = simulate.rides(1_100, 2)
    numbered = table.set_column(0, "ride_id", pa.array(np.arange(1_100)))
    pq.write_table(numbered, tmp_path / "n.parquet")
    command(tmp_path / "n.parquet")
    assert command.table()["ride_id"].to_pylist() == list(range(1_100))
    pyarrow.csv.write_csv(numbered, tmp_path / "n.csv")
    command(tmp_path / "n.csv")
    assert command.table()["ride_id"].to_pylist() == list(range(1_100))
    command(write(tmp_path / "zeros.csv", "ride_id,ride_dist,ride_time\n007,3,0.1\n8,3,0.1\n"))
    assert command.table()["ride_id"].to_pylist() == ["007", "8"]


def test_history_takes_several_names_and_is_what_is_learned_from(command: Command, rides: Path, tmp_path: Path) -> None:
    names = []
    for seed in (5, 6):
        names.append(tmp_path / f"h{seed}.parquet")
        pq.write_table(simulate.rides(600, seed), names[-1])
    assert command(rides, "--history", *names)[0] == 0
    assert (command.summary()["sampled_from"], command.summary()["rides"]) == ("history", 3_000)
    assert command(rides, "--history", names[0])[0] == 0
    assert command.summary()["sampled_from"] == "input"


def test_of_two_names_after_history_the_second_is_the_file(command: Command, rides: Path, tmp_path: Path) -> None:
    june = tmp_path / "june.parquet"
    pq.write_table(simulate.rides(1_200, 5), june)
    assert command("--history", june, rides)[0] == 0
    assert (command.summary()["sampled_from"], command.summary()["rides"]) == ("history", 3_000)


def test_of_more_names_after_history_nobody_can_tell_which_are_files(command: Command, rides: Path) -> None:
    status, printed = command("--history", rides, rides, rides)
    assert status == 2
    assert "--history: takes every name that follows it, and none is left: put FILES first" in printed
    status, printed = command("--history", rides)
    assert status == 2
    assert "Missing argument 'files'" in printed


def tlc(**columns: Any) -> pa.Table:
    table = {
        "Trip_Distance": [1.0, 2.0, 0.0, 3.0],
        "tpep_pickup_datetime": ["2020-01-01 00:00:00"] * 4,
        "tpep_dropoff_datetime": [
            "2020-01-01 00:06:00",
            "2020-01-01 00:12:00",
            "2020-01-01 00:12:00",
            "2019-12-31 23:00:00",
        ],
    }
    return pa.table(table | columns)


@pytest.mark.parametrize("kind", ["text", "timestamp"])
def test_the_tlc_preset_reads_miles_and_two_times(command: Command, tmp_path: Path, kind: str) -> None:
    table = tlc()
    if kind == "timestamp":
        for i in (1, 2):
            table = table.set_column(i, table.column_names[i], table.column(i).cast(pa.timestamp("us")))
    path = tmp_path / "yellow_2020.parquet"
    pq.write_table(table, path)
    assert command(path, "--preset", "tlc")[0] == 0
    assert command.table()["ride_id"].to_pylist() == ["yellow_2020:0", "yellow_2020:1"]
    assert command.table("rejected").to_pylist() == [
        {"file": str(path), "row": 2, "reason": "distance is zero"},
        {"file": str(path), "row": 3, "reason": "time is negative"},
    ]


def test_the_tlc_preset_keeps_a_ride_id_of_the_file(command: Command, tmp_path: Path) -> None:
    pq.write_table(tlc(ride_id=["a", "b", "c", "d"]), tmp_path / "y.parquet")
    command(tmp_path / "y.parquet", "--preset", "tlc")
    assert command.table()["ride_id"].to_pylist() == ["a", "b"]


def test_the_books_parameters_are_recorded_and_refuse_a_history(command: Command, rides: Path) -> None:
    assert command(rides, "--params", "book")[0] == 0
    assert (command.summary()["eps"], command.summary()["min_samples"]) == (0.3, 10)
    assert command(rides, "--params", "book", "--history", rides)[0] == 2


def trips(path: Path, times: list[tuple[str, str]], **columns: Any) -> Path:
    pickup, dropoff = ([pair[i] for pair in times] for i in (0, 1))
    named = {"lpep_pickup_datetime": pickup, "lpep_dropoff_datetime": dropoff, "trip_distance": [3.0] * len(times)}
    table = pa.table(named | columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pyarrow.csv.write_csv(table, path)
    return path


FALL = [
    ("2024-11-03 01:50:00", "2024-11-03 01:10:00"),  # the clock went back
    ("2024-11-03 01:10:00", "2024-11-03 01:50:00"),
    ("2024-11-03 00:50:00", "2024-11-03 01:10:00"),
    ("2024-11-03 01:50:00", "2024-11-03 02:10:00"),
    ("2024-11-03 00:30:00", "2024-11-03 02:30:00"),
]
SPRING = [
    ("2024-03-10 01:50:00", "2024-03-10 03:10:00"),
    ("2024-03-10 02:10:00", "2024-03-10 02:30:00"),  # a clock that was not put forward
    ("2024-03-10 02:50:00", "2024-03-10 03:10:00"),
]


def minutes(command: Command, rides: int) -> list[int]:
    """What the reasons say of each ride, all of which are anomalous for the model of some history."""
    told = [re.search(r"km in ([\d.,]+) (s|min|h):", reason) for reason in command.table()["reason"].to_pylist()]
    assert len(told) == rides
    units = {"s": 1 / 60, "min": 1, "h": 60}
    return [round(float(one[1].replace(",", "")) * units[one[2]]) for one in told if one]


@pytest.mark.parametrize("kind", ["text.csv", "text.parquet", "time.parquet"])
def test_trips_over_the_ends_of_summer_time_last_as_long_as_they_did(
    command: Command, tmp_path: Path, kind: str
) -> None:
    slow = [0.001] * (len(FALL) + len(SPRING))  # miles, so that every ride is an anomaly with its time
    path = trips(tmp_path / kind, FALL + SPRING, trip_distance=slow)
    if kind.startswith("time"):
        pq.write_table(
            pq.read_table(path).cast(pa.schema([*zip(TRIP_NAMES, [STAMP, STAMP, pa.float64()], strict=True)])), path
        )
    history = trips(
        tmp_path / "history.csv", [(f"2024-05-01 {i:02}:00:00", f"2024-05-01 {i:02}:10:00") for i in range(24)] * 60
    )
    assert command(path, "--preset", "tlc", "--history", history)[0] == 0
    assert command.table("rejected").num_rows == 0
    assert minutes(command, 8) == [20, 40, 20, 20, 180, 20, 20, 20]
    assert command(path, "--preset", "tlc", "--history", history, "--timezone", "America/Phoenix")[0] == 0
    assert command.table("rejected").to_pylist() == [{"file": str(path), "row": 0, "reason": "time is negative"}]
    assert minutes(command, 7) == [40, 20, 20, 120, 80, 20, 20]


def test_the_setting_decides_the_zone_where_the_option_does_not(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trips(tmp_path / "fall.parquet", [*FALL[:1], *FALL])
    command(path, "--preset", "tlc")
    assert command.summary()["rejected"] == 0
    monkeypatch.setenv("TREFOIL_TIMEZONE", "UTC")
    command(path, "--preset", "tlc")
    assert command.summary()["rejected"] == 2
    status, printed = command(path, "--preset", "tlc", "--timezone", "Mars/Olympus")
    assert (status, "--timezone: Mars/Olympus is no IANA time zone" in printed) == (2, True)


def test_times_with_an_offset_of_their_own_keep_their_instant(command: Command, tmp_path: Path) -> None:
    path = trips(tmp_path / "own.csv", [("2024-11-03T01:10:00-04:00", "2024-11-03T01:50:00-05:00")] * 3)
    command(path, "--preset", "tlc", "--params", "book")
    assert command.table("rejected").num_rows == 0
    assert minutes(command, 3) == [100] * 3


def test_a_time_with_an_offset_beside_one_without_is_told_on_the_same_clock(command: Command, tmp_path: Path) -> None:
    path = trips(tmp_path / "half.csv", [("2024-06-03 10:00:00", "2024-06-03T14:20:00Z")] * 3)
    assert command(path, "--preset", "tlc", "--params", "book")[0] == 0
    assert minutes(command, 3) == [20] * 3


def test_dates_are_day_first_for_the_whole_column(command: Command, tmp_path: Path) -> None:
    """One row says it for all: 03/04 beside 23/04 is the third of April."""
    drawn = np.random.default_rng(0)
    start = np.datetime64("2019-03-01T00:00:00") + drawn.integers(0, 60 * 86_400, 6_500)
    times = [start, start + drawn.integers(300, 1_800, 6_500)]
    written = [[f"{t:%d/%m/%Y %H:%M:%S}" for t in one.tolist()] for one in times]
    path = trips(tmp_path / "days.csv", list(zip(*written, strict=True)), trip_distance=drawn.uniform(1, 5, 6_500))
    status, printed = command(path, "--preset", "tlc")
    assert status == 0
    assert "dates day-first in lpep_pickup_datetime" in printed
    assert (command.summary()["rides"], command.summary()["rejected"]) == (6_500, 0)
    day_first = command.table()
    iso = trips(
        tmp_path / "days.parquet",
        [(str(a), str(b)) for a, b in zip(*times, strict=True)],
        trip_distance=pyarrow.csv.read_csv(path)["trip_distance"],
    )
    assert command(iso, "--preset", "tlc")[0] == 0
    assert command.table() == day_first


def test_dates_that_can_be_read_in_two_ways_are_asked_for(command: Command, tmp_path: Path) -> None:
    path = trips(tmp_path / "two.csv", [("03/04/2019 10:00", "03/04/2019 10:20")] * 5)
    status, printed = command(path, "--preset", "tlc")
    assert status == 2
    assert "--dates day-first or --dates month-first" in " ".join(printed.split())
    assert command(path, "--preset", "tlc", "--dates", "day-first")[0] == 0


def test_a_decimal_comma_is_a_number_and_in_an_id_stays_as_it_is(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "de.csv", "ride_id;ride_dist;ride_time\n1,5;3,5;0,1\n2,5;1.004,5;20,25\n")
    status, printed = command(path, "--params", "book")
    assert status == 0
    assert "CSV with semicolons" in printed
    assert command.table()["ride_id"].to_pylist() == ["1,5", "2,5"]
    assert command.table()["reason"].to_pylist()[1].startswith("1,004 km in 20.2 h")


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (60.0, True), (1 / 3600, True)])
def test_speeds_of_no_vehicle_are_warned_of_with_the_option(
    command: Command, rides: Path, factor: float, told: bool
) -> None:
    table = pq.read_table(rides)
    pq.write_table(table.set_column(2, "ride_time", pc.multiply(table["ride_time"], factor)), rides)
    status, printed = command(rides, "--params", "book")
    assert status == 0
    assert bool(command.summary()["warnings"]) == told
    assert ("warning: the median speed is" in printed and "--column ride_dist_m=NAME" in printed) == told


@pytest.mark.parametrize("history", [False, True])
def test_rides_that_are_mostly_impossible_are_of_another_unit_and_refused(
    command: Command, rides: Path, tmp_path: Path, history: bool
) -> None:
    """A careful person wants no file in which every ride is flagged; flights or trains say how fast they can be."""
    table, wrong = pq.read_table(rides), tmp_path / "flights.parquet"
    pq.write_table(table.set_column(1, "ride_dist", pc.multiply(table["ride_dist"], 25)), wrong)
    learned = ["--history", rides] if history else []
    status, printed = command(wrong, *learned)
    assert status == 2
    assert printed.startswith(f"trefoil: {wrong}: the median speed is ")
    assert "km/h, over the possible 160: distances or times are probably in other units" in printed
    assert "--column ride_dist_m=NAME" in printed
    assert "--max-speed allows more" in printed
    assert not command.out.exists()
    status, printed = command(wrong, *learned, "--max-speed", 4_000)
    assert status == 0
    assert ("more than can be abnormal: they are unlike those learned from" in printed) == history
    assert "warning: the median speed" not in printed


@pytest.mark.parametrize("written", ["{0:02}:{1:02}:{2:02}", "{0}:{1:02}:{2:02}.000"])
def test_times_written_as_on_a_clock_are_hours(command: Command, rides: Path, tmp_path: Path, written: str) -> None:
    table = pq.read_table(rides)
    seconds = np.round(table["ride_time"].to_numpy() * 3600).astype(int)
    pq.write_table(table.set_column(2, "ride_time", pa.array(seconds / 3600)), rides)
    command(rides)
    in_hours = command.table()
    clock = [written.format(s // 3600, s // 60 % 60, s % 60) for s in seconds.tolist()]
    pyarrow.csv.write_csv(table.set_column(2, "ride_time", pa.array(clock)), tmp_path / "clock.csv")
    assert command(tmp_path / "clock.csv")[0] == 0
    assert command.table()["severity"].to_pylist() == pytest.approx(in_hours["severity"].to_pylist())
    bad = write(tmp_path / "bad.csv", "ride_id,ride_dist,ride_time\na,3,0:06:00\nb,3,12:30\nc,3,0:61:00\nd,3,.1\n")
    assert command(bad)[0] == 0
    assert command.table()["ride_id"].to_pylist() == ["a", "d"]


def test_rides_in_km_may_have_a_start_and_an_end(command: Command, tmp_path: Path) -> None:
    times = [("27.10.2024 01:50", "27.10.2024 02:10"), ("27.10.2024 02:50", "27.10.2024 02:10")]
    rows = [f"{i};2,5;{a};{b}" for i, (a, b) in enumerate(times)]
    path = write(tmp_path / "Fahrten.csv", "\n".join(["Nr;Strecke;Abfahrt;Ankunft", *rows, ""]))
    named = [f"--column={one}" for one in ("ride_id=Nr", "ride_dist=Strecke", "start=Abfahrt", "end=Ankunft")]
    assert command(path, *named, "--params", "book", "--timezone", "Europe/Berlin")[0] == 0
    assert command.table("rejected").num_rows == 0
    assert minutes(command, 2) == [20, 20]
    assert command(path, *named, "--params", "book")[0] == 0
    assert command.table("rejected")["reason"].to_pylist() == ["time is negative"]
    status, printed = command(path, *named[:3])
    assert (status, "end: has no such column" in printed) == (2, True)


def test_the_kind_of_file_is_told_by_its_bytes(command: Command, rides: Path, tmp_path: Path) -> None:
    command(rides)
    expected = command.table()
    for name in ("B.CSV", "rides.txt"):
        pyarrow.csv.write_csv(pq.read_table(rides), tmp_path / name)
        assert command(tmp_path / name)[0] == 0
        assert command.table() == expected
    rides.rename(tmp_path / "really.csv")
    assert command(tmp_path / "really.csv")[0] == 0
    assert command.table() == expected


def test_trip_records_of_for_hire_vehicles_are_told_what_they_lack(command: Command, tmp_path: Path) -> None:
    path = write(
        tmp_path / "fhv.csv",
        "dispatching_base_num,pickup_datetime,dropOff_datetime\nB1,2024-01-01 00:00:00,2024-01-01 00:10:00\n",
    )
    status, printed = command(path, "--preset", "tlc")
    assert status == 2
    assert "fhv.csv: trip_distance: has no such column" in printed
    assert "trip records of for-hire vehicles have no distance" in printed
    status, printed = command(path)
    assert (status, "trip records need --preset tlc" in printed) == (2, True)


def test_columns_of_other_names_are_named(command: Command, rides: Path) -> None:
    table = pq.read_table(rides)
    pq.write_table(table.rename_columns(["trip", "km", "hours", "kind"]), rides)
    given = ("--column", "ride_id=trip", "--column", "ride_dist=km", "--column")
    assert command(rides, *given, "ride_time=hours")[0] == 0
    assert command.summary()["rides"] == 3_000
    status, printed = command(rides, *given, "ride_time=h")
    assert (status, f"{rides}: h: has no such column; it has trip, km, hours, kind" in printed) == (2, True)
    assert command(rides, *given, "ride_time")[0] == 2


@pytest.mark.parametrize(
    ("dist", "per_km", "time", "per_h"),
    [("ride_dist_m", 1e3, "ride_time_min", 60.0), ("ride_dist_mi", 1 / 1.609344, "ride_time_s", 3600.0)],
)
def test_a_columns_name_says_its_unit_also_where_the_file_calls_it_otherwise(
    command: Command, rides: Path, dist: str, per_km: float, time: str, per_h: float
) -> None:
    table = pq.read_table(rides)
    command(rides)
    in_km = command.table().drop(["model_version", "run_id"])
    columns = [table["ride_id"], pc.multiply(table["ride_dist"], per_km), pc.multiply(table["ride_time"], per_h)]
    for names, given in (
        (["ride_id", dist.upper(), time], ()),
        (["ride_id", "Strecke", "Dauer"], ("--column", f"{dist}=Strecke", "--column", f"{time}=Dauer")),
    ):
        pq.write_table(pa.table(columns, names=names), rides)
        assert command(rides, *given)[0] == 0
        labelled = command.table()
        assert labelled["is_anomaly"].equals(in_km["is_anomaly"])
        assert labelled["severity"].to_pylist() == pytest.approx(in_km["severity"].to_pylist(), rel=1e-3)
