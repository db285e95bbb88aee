"""Days, flags and verdicts over HTTP, of days that the clustering leaf ran."""

import json
from datetime import date, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.clustering import simulate
from functions.clustering.store import Paths
from functions.console.contracts import Verdict
from functions.console.store import Published, hash_of
from tests.clustering import DAY, World, key
from tests.console import caller, flags_path, published_day
from tests.fakes import InMemoryObjects
from tests.forecasting import CLAIMS, Caller
from tests.tables import as_parquet

ODD = ["a/b", "../../catalog", "verdict", "50 % off?", "#1", "ü 🚲", "a\nb", "x" * 300, "%2F", "a&ride_id=b", "'\"<b>"]
BACK = timedelta(days=1)


@pytest.fixture(scope="module")
def lake() -> InMemoryObjects:
    """A published day; some of its flagged rides have odd ids."""
    world = World()
    table = simulate.rides(3_000, 0)
    km, hours = (
        [*table[name].to_pylist()[: -len(ODD)], *[odd] * len(ODD)]
        for name, odd in (("ride_dist", 900.0), ("ride_time", 0.01))
    )
    ids = [*(f"r{i}" for i in range(3_000 - len(ODD))), *ODD]
    world.lake.put(key(DAY), as_parquet(pa.table({"ride_id": ids, "ride_dist": km, "ride_time": hours})))
    assert world.run()["status"] == "published"
    found: InMemoryObjects = world.lake
    return found


@pytest.fixture
def call(lake: InMemoryObjects) -> Caller:
    """Verdicts of one test do not reach another."""
    return caller(InMemoryObjects(lake.bodies))


def manifest(day: date, anomalies: int, rides: int = 1_000) -> tuple[str, bytes]:
    body = {"run_id": "r1", "rides": rides, "anomalies": anomalies, "rejected": 0}
    return Paths(day).manifest, json.dumps(body).encode()


def say(call: Caller, ride_id: str, verdict: str | None, day: date = DAY, **more: Any) -> tuple[int, Any]:
    said = {name: more.pop(name) for name in ("note", "at") if name in more}
    path = f"{flags_path(day)}/{quote(ride_id)}/verdict"
    status, _, body = call(path, method="PUT", body={"verdict": verdict, **said}, **more)
    return status, body


def test_a_day_is_told_with_its_counts_its_picture_and_its_flags(call: Caller) -> None:
    (row,) = call("/v1/days")[2]["items"]
    assert (row["dt"], row["rides"]) == (str(DAY), 3_000)
    assert row["share"] == row["anomalies"] / 3_000 > 0
    day = call(f"/v1/days/{DAY}")[2]
    assert row.items() <= day.items()
    assert day["model_version"]
    assert sum(ordinary + flagged for _, _, ordinary, flagged in day["plot"]["cells"]) == 3_000
    page = call(flags_path(), "limit=500")[2]
    severities = [flag["severity"] for flag in page["items"]]
    assert severities == sorted(severities, reverse=True)
    assert len(page["items"]) == page["anomalies"] == page["listed"] == page["matched"] == row["anomalies"]
    assert page["next_cursor"] is None


def test_pages_hold_every_flag_once_also_those_of_equal_severity(call: Caller) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = call(flags_path(), f"limit=7&cursor={quote(cursor)}")[2]
        seen += page["items"]
        cursor = page["next_cursor"]
    assert [f["ride_id"] for f in seen] == [f["ride_id"] for f in call(flags_path(), "limit=500")[2]["items"]]
    assert len({f["severity"] for f in seen}) < len(seen)


def test_an_id_that_two_files_of_a_day_have_is_listed_once_with_its_more_severe_ride(lake: InMemoryObjects) -> None:
    twice = InMemoryObjects(lake.bodies)
    name = next(name for name in twice.bodies if name.endswith("flagged.json"))
    flags = json.loads(twice.bodies[name])
    twice.put(name, json.dumps([*flags, flags[0] | {"severity": 1.01}]).encode())
    again, seen, cursor = caller(twice), [], ""
    while cursor is not None:
        page = again(flags_path(), f"limit=50&cursor={quote(cursor)}")[2]
        seen += page["items"]
        cursor = page["next_cursor"]
    assert [flag["severity"] for flag in seen] == sorted((flag["severity"] for flag in flags), reverse=True)


def test_flags_are_asked_for_by_reason_and_severity(call: Caller) -> None:
    every = call(flags_path(), "limit=500")[2]["items"]
    page = call(flags_path(), "limit=500&reason=TIMES%20SLOWER&min_severity=2")[2]
    wanted = [f["ride_id"] for f in every if "times slower" in f["reason"] and f["severity"] >= 2]
    assert [f["ride_id"] for f in page["items"]] == wanted
    assert 0 < page["matched"] == len(wanted) < page["listed"]
    slow = call(flags_path(), "limit=500&kind=slow")[2]["items"]
    assert slow == [f for f in every if f["kind"] == "slow"] != []
    assert {"times slower than usual" in f["reason"] for f in slow} == {True}


def test_the_usual_share_is_the_middle_one_of_the_days_before(call: Caller) -> None:
    shares = [90, 10, 30, 20, 500]
    lake = InMemoryObjects(dict(manifest(DAY + i * BACK, n) for i, n in enumerate(shares)))
    lake.put(*manifest(DAY - 40 * BACK, 999))
    items = caller(lake)("/v1/days", f"from={DAY}&to={DAY + 9 * BACK}")[2]["items"]
    assert [item["share"] for item in items] == [0.09, 0.01, 0.03, 0.02, 0.5]
    assert [item["usual_share"] for item in items] == [None, None, None, 0.03, 0.025]
    assert caller(lake)(f"/v1/days/{DAY + 4 * BACK}")[2]["usual_share"] == 0.025


def test_days_are_those_asked_for_or_the_31_that_end_with_the_newest() -> None:
    lake = InMemoryObjects(dict(manifest(DAY + i * BACK, 10) for i in range(50)))
    lake.put("anomalies/days/dt=2026-02-31/manifest.json", b"{}")
    lake.put("anomalies/days/readme.txt", b"not ours")
    lake.put(f"anomalies/days/dt={DAY + 60 * BACK}/manifest.json", b"half a manif")
    call = caller(lake)

    def days(query: str) -> tuple[str, str, int]:
        items = call("/v1/days", query)[2]["items"]
        return items[0]["dt"], items[-1]["dt"], len(items)

    last = DAY + 49 * BACK
    assert days("") == (str(last - 30 * BACK), str(last), 31)
    assert days(f"from={DAY + BACK}&to={DAY + 3 * BACK}") == (str(DAY + BACK), str(DAY + 3 * BACK), 3)
    assert days(f"from={DAY}") == (str(DAY), str(last), 50)
    assert call("/v1/days", f"from={last + BACK}")[2] == {"items": []}
    assert caller(InMemoryObjects())("/v1/days")[2] == {"items": []}


def test_a_day_from_before_flags_were_listed_is_told_without_them(lake: InMemoryObjects) -> None:
    kept = {k: v for k, v in lake.bodies.items() if not k.endswith(("plot.json", "flagged.json"))}
    call = caller(InMemoryObjects(kept))
    assert call(f"/v1/days/{DAY}")[2]["plot"] is None
    page = call(flags_path())[2]
    assert page["anomalies"] > 0
    assert (page["listed"], page["items"], page["next_cursor"]) == (0, [], None)


@pytest.mark.parametrize("ride_id", ODD)
def test_a_verdict_stands_on_a_ride_whatever_its_id_is_made_of(call: Caller, ride_id: str) -> None:
    path, query = f"/v1/days/{DAY}/verdict", f"ride_id={quote(ride_id, safe='')}"
    status, _, said = call(path, query, method="PUT", body={"verdict": "false_alarm", "note": "sensor"})
    assert status == 200, said
    assert (said["ride_id"], said["by"]) == (ride_id, CLAIMS["sub"])
    flags = {flag["ride_id"]: flag["verdict"] for flag in call(flags_path(), "limit=500")[2]["items"]}
    assert flags.pop(ride_id) == said
    assert set(flags.values()) == {None}
    assert call("/v1/days")[2]["items"][0]["false_alarms"] == 1


def test_a_path_holds_an_id_with_slashes(call: Caller) -> None:
    assert say(call, "../../catalog", "confirmed")[1]["ride_id"] == "../../catalog"
    assert say(call, "verdict", "confirmed")[1]["ride_id"] == "verdict"


def test_a_verdict_is_a_row_of_its_table(lake: InMemoryObjects) -> None:
    own = InMemoryObjects(lake.bodies)
    _, said = say(caller(own), "ü 🚲", "confirmed", note="two\nlines", at="2026-03-15T01:30:00+01:00")
    body = own.get(f"verdicts/dt={DAY}/{hash_of('ü 🚲')}.json")
    assert body.count(b"\n") == 1
    assert json.loads(body) == said
    assert list(said) == list(Verdict.model_fields)
    assert (said["note"], said["at"]) == ("two\nlines", "2026-03-15T00:30:00.000000Z")


MOMENTS = st.permutations([("confirmed", 1), ("false_alarm", 2), (None, 3), ("confirmed", 4)])


@given(order=MOMENTS, twice=st.integers(0, 3))
def test_the_newest_word_holds_in_any_order_and_any_number_of_times(
    lake: InMemoryObjects, order: list[tuple[str | None, int]], twice: int
) -> None:
    call = caller(InMemoryObjects(lake.bodies))
    for verdict, minute in [*order, order[twice]]:
        status, said = say(call, "a/b", verdict, at=f"2026-03-15T00:0{minute}:00Z", note=str(minute))
        assert status == 200
    assert (said["verdict"], said["note"]) == ("confirmed", "4")
    assert call("/v1/days")[2]["items"][0]["confirmed"] == 1


def test_a_word_is_taken_back_and_said_again(call: Caller) -> None:
    counts = []
    for verdict in ("confirmed", None, None, "false_alarm", "confirmed"):
        assert say(call, "a/b", verdict)[1]["verdict"] == verdict
        row = call("/v1/days")[2]["items"][0]
        counts.append((row["confirmed"], row["false_alarms"]))
    assert counts == [(1, 0), (0, 0), (0, 0), (0, 1), (1, 0)]


def test_a_verdict_stays_with_its_ride_when_the_run_is_replaced() -> None:
    lake = InMemoryObjects(published_day(DAY, ["a", "b"]))
    call = caller(lake)
    assert say(call, "a", "confirmed")[1]["run_id"] == say(call, "b", "confirmed")[1]["run_id"] == "r1"
    lake.bodies |= published_day(DAY, ["a", "c"], run_id="r2")
    verdicts = {flag["ride_id"]: flag["verdict"] for flag in call(flags_path())[2]["items"]}
    assert (verdicts["a"]["verdict"], verdicts["a"]["run_id"], verdicts["c"]) == ("confirmed", "r1", None)
    assert say(call, "a", "false_alarm")[1]["run_id"] == "r2"
    assert say(call, "b", None)[0] == 200  # no flag any more, but its word can be taken back
    assert say(call, "d", "confirmed")[0] == 404


def test_two_people_at_once_leave_the_newer_word(lake: InMemoryObjects) -> None:
    """Between reading what stands and writing, somebody else speaks."""
    key = f"verdicts/dt={DAY}/{hash_of('a/b')}.json"

    class Crowded(InMemoryObjects):
        words: ClassVar = ["2026-03-15T00:00:01.000000Z", "2026-03-15T00:00:09.000000Z"]

        def put(self, key: str, body: bytes, **conditions: Any) -> str:
            if self.words:
                other = {"ride_id": "a/b", "run_id": "r", "verdict": None, "note": "", "by": "other"}
                super().put(key, json.dumps(other | {"at": self.words.pop(0)}).encode())
            return super().put(key, body, **conditions)

    own = Crowded(lake.bodies)
    status, said = say(caller(own), "a/b", "confirmed", at="2026-03-15T00:00:05Z")
    assert (status, said["by"]) == (200, "other")
    assert json.loads(own.get(key)).items() <= said.items()
    assert own.words == []


@pytest.mark.parametrize("ride_id", ["nobody", "r0/", "A/B", " a/b", "x" * 5_000, "\x00", "..", "a/b/verdict"])
def test_a_ride_that_is_not_flagged_has_no_verdict(call: Caller, ride_id: str) -> None:
    query = f"ride_id={quote(ride_id, safe='')}"
    status, headers, body = call(f"/v1/days/{DAY}/verdict", query, method="PUT", body={"verdict": "confirmed"})
    assert (status, body["status"]) == (404, 404)
    assert headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("/v1/days", "from=yesterday", 422, "query.from"),
        ("/v1/days", "from=1770000000", 422, "query.from"),
        ("/v1/days", "from=20260314", 422, "query.from"),
        ("/v1/days", "from=2026-02-30", 422, "query.from"),
        ("/v1/days", "from=1969-12-31", 422, "query.from"),
        ("/v1/days", "from=2026-03-14T00:00", 422, "query.from"),
        ("/v1/days", "from=٢٠٢٦-٠٣-١٤", 422, "query.from"),
        ("/v1/days", "from=2026-03-14&to=2026-03-13", 422, "query.to"),
        ("/v1/days", "from=1970-01-01&to=9999-12-31", 422, "query.from"),
        ("/v1/days", "since=2026-03-14", 422, "query.since"),
        ("/v1/days/2026-3-14", "", 422, "path.dt"),
        ("/v1/days/0000-00-00", "", 422, "path.dt"),
        ("/v1/days/9999-12-31", "", 404, None),
        ("/v1/days/1970-01-01", "", 404, None),
        ("/v1/days/2026-03-13/flags", "", 404, None),
        (flags_path(), "limit=0", 422, "query.limit"),
        (flags_path(), "limit=501", 422, "query.limit"),
        (flags_path(), "min_severity=nan", 422, "query.min_severity"),
        (flags_path(), "min_severity=-1", 422, "query.min_severity"),
        (flags_path(), "reason=" + "x" * 201, 422, "query.reason"),
        (flags_path(), "cursor=7", 422, "query.cursor"),
        (flags_path(), "cursor=1.2.3_" + "0" * 32, 422, "query.cursor"),
        (flags_path(), "cursor=..%2F..%2Fcatalog", 422, "query.cursor"),
        (flags_path(), "cursor=" + "9" * 81, 422, "query.cursor"),
        ("/v1/days/", "", 404, None),
        ("/v1/days/2026-03-14/runs", "", 404, None),
        ("/v1/series", "", 404, None),
    ],
)
def test_a_wrong_request_is_a_problem_that_names_the_field(
    call: Caller, path: str, query: str, status: int, field: str | None
) -> None:
    answered, headers, body = call(path, query)
    assert answered == body["status"] == status
    assert headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "detail"} <= body.keys()
    assert body.get("field") == field


def test_a_made_up_cursor_is_a_place_between_flags_and_no_error(call: Caller) -> None:
    for severity, left in (("9" * 32, "all"), ("1e999", "all"), ("0.0", "none")):
        page = call(flags_path(), f"limit=500&cursor={severity}_{'0' * 32}")[2]
        assert len(page["items"]) == (page["matched"] if left == "all" else 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.verdict"),
        ({"verdict": "maybe"}, "body.verdict"),
        ({"verdict": "confirmed", "by": "somebody else"}, "body.by"),
        ({"verdict": "confirmed", "note": "x" * 1_001}, "body.note"),
        ({"verdict": "confirmed", "note": None}, "body.note"),
        ({"verdict": "confirmed", "at": "2026-03-15T00:00:00"}, "body.at"),
        ({"verdict": "confirmed", "at": "0001-01-01T00:00:00+14:00"}, "body.at"),
        ({"verdict": "confirmed", "at": "9999-12-31T23:59:59-14:00"}, "body.at"),
        ({"verdict": "confirmed", "at": "2027-01-01T00:00:00Z"}, "body.at"),
        ('{"verdict": "confirmed", "note": "\\ud800"}', "body.note"),
        ("not json", "body.0"),
        ("[]", "body"),
    ],
)
def test_a_wrong_word_is_a_problem_that_names_the_field(call: Caller, body: Any, field: str) -> None:
    status, _, answer = call(f"{flags_path()}/a/b/verdict", method="PUT", body=body)
    assert (status, answer["field"]) == (422, field)


def test_who_said_it_is_whoever_the_gateway_knows_and_without_that_nobody_gets_in(call: Caller) -> None:
    assert say(call, "a/b", "confirmed", claims={"sub": "s-1"})[1]["by"] == "s-1"
    for claims in (None, {}, {"sub": "s", "token_use": "id"}):
        assert say(call, "a/b", None, claims=claims)[0] == 403
        for path in ("/v1/days", f"/v1/days/{DAY}", flags_path(), "//v1/days"):
            assert call(path, claims=claims)[0] == 403
    assert call("/v1/days")[2]["items"][0]["confirmed"] == 1


def test_what_does_not_change_is_not_read_again(lake: InMemoryObjects) -> None:
    class Counted(InMemoryObjects):
        reads: ClassVar[list[str]] = []

        def get(self, key: str, **conditions: Any) -> bytes:
            self.reads.append(key)
            return super().get(key, **conditions)

    own = Counted(lake.bodies)
    call = caller(own)
    say(call, "a/b", "confirmed")
    call("/v1/days"), call(flags_path())
    own.reads.clear()
    call("/v1/days"), call(flags_path())
    assert own.reads == []
    say(call, "a/b", "false_alarm")
    assert call("/v1/days")[2]["items"][0]["false_alarms"] == 1


def test_a_verdict_keeps_what_its_flag_was_and_days_count_them_by_kind_of_reason(call: Caller) -> None:
    first, *_, last = call(flags_path(), "limit=500")[2]["items"]
    for flag, word in ((first, "confirmed"), (last, "false_alarm")):
        assert (
            say(call, flag["ride_id"], word)[1].items() >= {"severity": flag["severity"], "kind": flag["kind"]}.items()
        )
    assert first["kind"] != last["kind"]
    kinds = {first["kind"]: [1, 0], last["kind"]: [0, 1]}
    assert call("/v1/days")[2]["items"][0]["kinds"] == call(f"/v1/days/{DAY}")[2]["kinds"] == kinds


def test_a_year_of_verdicts_is_read_once_and_then_what_changed() -> None:
    class Counted(InMemoryObjects):
        reads = 0

        def get(self, key: str, **conditions: Any) -> bytes:
            self.reads += 1
            return super().get(key, **conditions)

    days, each = 366, 60
    word = {"run_id": "r1", "verdict": "confirmed", "note": "", "by": "s", "at": "2026-03-15T00:00:00.000000Z"}
    bodies = [(hash_of(str(k)), json.dumps(word | {"ride_id": str(k)}).encode()) for k in range(each)]
    own = Counted(
        {
            f"verdicts/dt={day}/{name}.json": body
            for day in (DAY - i * BACK for i in range(days))
            for name, body in bodies
        }
    )
    published, year = Published(own), (DAY - (days - 1) * BACK, DAY)
    first = published.verdicts(*year)
    assert (sum(map(len, first.values())), own.reads) == (days * each, days * each)
    own.reads = 0
    assert published.verdicts(*year) == first
    assert own.reads == 0
    later = word | {"ride_id": "0", "verdict": "false_alarm"}
    own.put(f"verdicts/dt={DAY}/{hash_of('0')}.json", json.dumps(later).encode())
    assert published.verdicts(*year)[DAY][hash_of("0")].verdict == "false_alarm"
    assert own.reads == 1


def test_documents_of_somebody_else_are_passed_over(lake: InMemoryObjects) -> None:
    own = InMemoryObjects(lake.bodies)
    for name in (
        f"verdicts/dt={DAY}/{hash_of('a/b')}.json",
        f"verdicts/dt={DAY}/notes.json",
        "verdicts/dt=soon/x.json",
    ):
        own.put(name, b'{"verdict": "confirmed"')
    call = caller(own)
    assert call("/v1/days")[2]["items"][0]["confirmed"] == 0
    assert say(call, "a/b", "confirmed")[0] == 200
    own.put(Paths(DAY - BACK).manifest, b"[]")
    assert [item["dt"] for item in call("/v1/days")[2]["items"]] == [str(DAY)]
    assert call(f"/v1/days/{DAY - BACK}")[0] == 404
    own.put(Paths(DAY, json.loads(own.get(Paths(DAY).manifest))["run_id"]).reports + "flagged.json", b"{}")
    assert caller(own)(flags_path())[0] == 500


def test_the_document_describes_every_route(call: Caller) -> None:
    status, _, document = call("/console/openapi.json", claims=None)
    assert status == 200
    assert set(document["paths"]) == {
        "/v1/days",
        "/v1/days/{dt}",
        "/v1/days/{dt}/flags",
        "/v1/days/{dt}/flags/{ride_id}/verdict",
        "/v1/days/{dt}/verdict",
        "/v1/segments",
        "/v1/segments/people",
        "/v1/operation",
    }
