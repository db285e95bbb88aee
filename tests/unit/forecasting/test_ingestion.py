import io
import json
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from functions.forecasting.domain import table
from functions.forecasting.domain.series import load
from functions.forecasting.intake import IngestService, requested
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import Catalog, content_hash, history_key
from layers.runtime.errors import InputError
from tests.fakes import InMemoryObjects
from tests.forecasting import House, made, written

MONDAY, TUESDAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)


def history(house, name):
    return load(house.lake.get(history_key(name)))


def test_a_file_becomes_a_history_per_series_and_catalog_rows():
    house = House()
    done = house.put(made(50, name="a"), made(60, name="b"))
    assert (done.status, done.series, done.rejected) == ("done", 2, 0)
    rows = Catalog(house.lake).rows()
    assert list(rows) == ["a", "b"]
    assert (rows["b"].first_ds, rows["b"].last_ds, rows["b"].observations) == ("2023-01-02", "2023-03-02", 60)


def test_the_same_event_twice_is_harmless():
    house = House()
    house.put(made(50, name="a"), etag="x")
    before = dict(house.lake.bodies)
    assert house.put(made(50, name="a"), etag="x").status == "skipped"
    assert house.lake.bodies == before


def test_events_out_of_order_leave_the_later_file_standing():
    house = House()
    late = replace(made(50, name="a"), y=np.full(50, 7.0))
    house.put(late, key="sales/late.csv", arrived=TUESDAY)
    house.put(made(50, name="a"), key="sales/early.csv", arrived=MONDAY)
    assert set(history(house, "a").y) == {7.0}


def test_two_files_at_once_lose_nothing():
    house = House()
    days = made(80, name="a")

    def arrive(i):
        part = replace(
            days,
            start=days.start + 10 * i,
            y=np.full(10, float(i)),
            open=np.ones(10),
            regressors={"promo": np.zeros(10)},
        )
        return house.put(part, replace(part, series_id=f"only-{i}"), key=f"sales/{i}.csv")

    with ThreadPoolExecutor(8) as pool:
        assert {done.status for done in pool.map(arrive, range(8))} == {"done"}
    assert history(house, "a").y.tolist() == [float(i) for i in range(8) for _ in range(10)]
    assert len(Catalog(house.lake).rows()) == 9
    assert Catalog(house.lake).rows()["a"].observations == 80


def test_a_file_that_is_put_again_while_it_is_read_is_not_lost():
    house = House()
    first, second = made(50, name="a"), replace(made(50, name="a"), y=np.full(50, 7.0))
    opened, answers = house.lake.open, []

    def put_meanwhile(key):
        house.lake.open = opened
        source = opened(key)
        answers.append(house.put(second, etag="2", arrived=TUESDAY, owner="second"))
        return source

    house.lake.open = put_meanwhile
    answers.append(house.put(first, etag="1", arrived=MONDAY, owner="first"))
    assert [answer.status for answer in answers] == ["done", "done"]
    assert set(history(house, "a").y) == {7.0}
    run = house.ledger.get("forecasting-ingest", "sales/a.csv")
    assert (run.fingerprint.split("@")[0], run.outcome) == ("2", "done")


def test_a_file_that_is_put_back_counts_as_new():
    house = House()
    kept, changed = made(50, name="a"), replace(made(50, name="a"), y=np.full(50, 7.0))
    for days, (etag, file) in enumerate((("1", kept), ("2", changed), ("1", kept))):
        assert house.put(file, etag=etag, arrived=MONDAY + timedelta(days)).status == "done"
    np.testing.assert_allclose(history(house, "a").y, kept.y)


def test_hundreds_of_files_at_once_all_land():
    house, count = House(), 300

    class Slow(InMemoryObjects):
        """Every call takes as long as one of S3 within its region."""

        def get_tagged(self, key):
            time.sleep(0.002)
            return super().get_tagged(key)

        def put(self, *arguments, **conditions):
            time.sleep(0.004)
            return super().put(*arguments, **conditions)

    lake = Slow({f"sales/{i}.csv": written(made(20, name=f"store-{i}")) for i in range(count)})
    service = IngestService(lake, house.ledger, ForecastingSettings())
    with ThreadPoolExecutor(count) as pool:
        answers = pool.map(lambda i: service.ingest(f"sales/{i}.csv", etag="1"), range(count))
        assert {answer.status for answer in answers} == {"done"}
    assert len(Catalog(lake).rows()) == count


def test_the_catalog_tells_the_history_that_was_written_last_however_late_a_row_of_an_older_one_comes():
    house = House()
    late = house.ingestion._merge(made(50, name="a"))
    house.put(replace(made(50, name="a"), y=np.full(50, 7.0)), arrived=TUESDAY)
    house.ingestion._catalog.update(["a"], lambda _, row: house.ingestion._row(late, row))
    assert Catalog(house.lake).rows()["a"].history == content_hash(house.lake.get(history_key("a")))


def test_an_unreadable_file_is_recorded_and_can_be_sent_again():
    house = House()
    house.lake.put("sales/a.csv", b"nothing,of,use\n1,2,3\n")
    assert house.ingestion.ingest("sales/a.csv", etag="1").status == "failed"
    assert house.put(made(50, name="a"), etag="2").status == "done"


def test_a_file_that_can_be_read_in_two_ways_fails_and_the_setting_decides():
    house = House()
    house.lake.put("sales/a.csv", b"ds,y\n03/04/2019,1\n04/04/2019,2\n")
    failed = house.ingestion.ingest("sales/a.csv")
    assert (failed.status, "TREFOIL_DATES" in failed.detail) == ("failed", True)
    done = house.intake(dates="month-first").ingest("sales/a.csv")
    assert (done.status, done.understood["dates"]) == ("done", {"ds": "month-first"})
    assert Catalog(house.lake).rows()["a"].first_ds == "2019-03-04"


def test_rejected_rows_are_written_with_their_reasons():
    house = House()
    house.lake.put("sales/a.csv", b"ds,y\n2024-01-01,1\nnever,2\n")
    done = house.ingestion.ingest("sales/a.csv")
    assert (done.status, done.rejected) == ("done", 1)
    (key,) = [key for key in house.lake.bodies if key.startswith("plans/forecasting/rejected/")]
    assert json.loads(house.lake.get(key))["row"] == 1


def test_a_damaged_history_is_not_overwritten():
    house = House()
    house.lake.put(history_key("a"), b"damaged")
    done = house.put(made(50, name="a"), made(50, name="b"))
    assert (done.series, done.rejected) == (1, 1)
    assert house.lake.get(history_key("a")) == b"damaged"


def test_an_event_of_s3_and_one_of_a_person_name_files():
    event = {
        "source": "aws.s3",
        "time": "2026-01-05T00:00:00Z",
        "detail": {"bucket": {"name": "lake"}, "object": {"key": "sales/a b.csv", "etag": "x"}},
    }
    file = {"key": "sales/a b.csv", "etag": "x", "arrived": MONDAY, "owner": ""}
    assert requested(event) == [file]
    assert requested({"Records": [{"body": json.dumps(event | {"id": "i"})}]}) == [file | {"owner": "i"}]
    assert requested({"keys": ["sales/a.csv"]}) == [{"key": "sales/a.csv", "arrived": None}]
    for wrong in (
        {"detail": {}},
        {"detail": {"object": {"key": "k"}}, "time": "planted"},
        {"Records": [{"body": "planted"}]},
    ):
        with pytest.raises(InputError) as caught:
            requested(wrong)
        assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_a_deployment_says_what_its_files_call_our_columns():
    house = House()
    house.lake.put(
        "sales/a.csv", b"Date,Volume,geography,type\n2024-01-01,5,Albany,organic\n2024-01-02,6,Albany,organic\n"
    )
    intake = house.intake(columns="ds=Date,y=Volume,series_id=geography+type")
    answer = intake.ingest("sales/a.csv", arrived=MONDAY)
    assert (answer.status, answer.series, answer.rejected) == ("done", 1, 0)
    assert history(house, "Albany/organic").y.tolist() == [5, 6]


TICKETS = "".join(f"till,2024-03-{day:02} {hour:02}:30,{hour}\n" for day in range(25, 32) for hour in range(8, 20))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"frequency": "D", "aggregate": "sum"},
        {"frequency": "D", "aggregate": "mean"},
        {"timezone": "Europe/Berlin"},
        {"frequency": "H", "timezone": "America/New_York"},
    ],
)
def test_a_file_is_read_as_the_command_reads_it_with_the_same_words(said):
    text = f"series_id,ds,y\n{TICKETS}".encode()
    house = House()
    house.lake.put("sales/a.csv", text)
    answer = house.intake(**said).ingest("sales/a.csv", arrived=MONDAY)
    told = table.Periods(said.get("frequency"), said.get("aggregate"), said.get("timezone", ""))
    (one,) = table.read(io.BytesIO(text), "a.csv", periods=told).series
    stored = history(house, "till")
    assert (answer.status, answer.rejected, stored.frequency) == ("done", 0, one.frequency)
    assert (str(stored.start), stored.y.tolist()) == (str(one.start), pytest.approx(one.y.tolist(), nan_ok=True))
    if "aggregate" in said:
        assert (stored.frequency.kind, stored.y[0]) == ("D", {"sum": 162.0, "mean": 13.5}[said["aggregate"]])


def test_files_that_come_again_with_an_aggregate_change_nothing():
    house = House()
    house.lake.put("sales/a.csv", f"series_id,ds,y\n{TICKETS}".encode())
    intake = house.intake(frequency="D", aggregate="sum")
    intake.ingest("sales/a.csv", arrived=MONDAY)
    before = house.lake.get(history_key("till"))
    assert load(before).y.tolist() == [162.0] * 7
    intake.ingest("sales/a.csv", arrived=TUESDAY)
    assert load(house.lake.get(history_key("till"))).y.tolist() == [162.0] * 7


def test_a_target_time_series_of_amazon_forecast_is_read_as_it_is():
    house = House()
    house.lake.put("sales/a.csv", b"item_id,timestamp,target_value,store\nhat,2024-01-01 00:00:00,5,7\n")
    assert house.intake().ingest("sales/a.csv", arrived=MONDAY).series == 1
    assert history(house, "hat/7").y.tolist() == [5]
