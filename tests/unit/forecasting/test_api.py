import base64
import gzip
import json
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError

from layers.storage.aws import translated
from tests.forecasting import CLAIMS, Caller, House, gateway_event, made

FORECAST = "/v1/series/a/forecast"


@pytest.fixture(scope="module")
def house():
    stocked = House()
    stocked.put(*(made(120, name=name, seed=i) for i, name in enumerate(["a", "b", "c d"])))
    stocked.train()
    return stocked


@pytest.fixture(scope="module")
def call(house):
    return Caller(house.app())


def test_a_forecast_has_every_field_of_its_contract(call):
    status, headers, body = call(FORECAST, "horizon=7&level=0.8")
    assert status == 200
    assert headers["x-cache"] == "computed"
    assert len(body["points"]) == 7
    assert body["points"][0].keys() == {"ds", "yhat", "lower", "upper"}
    assert body["model"].keys() == {"kind", "version", "trained_at"}
    assert {"start", "end", "rmspe", "wape", "coverage", "baseline", "baseline_wape", "skill"} <= body[
        "backtest"
    ].keys()
    assert body["regressors"][0]["name"] == "promo"
    assert body["regressors"][0]["future_known_until"] == "2023-05-01"
    assert any(said.startswith("promo") for said in body["assumptions"])


def test_what_was_forecast_of_the_days_held_out_is_what_the_report_is_about(call):
    _, _, body = call(FORECAST, "quantiles=0.9")
    told, held = body["backtest"], body["holdout"]
    assert (held[0]["ds"], held[-1]["ds"]) == (told["start"], told["end"])
    _, _, history = call("/v1/series/a/history", f"start={told['start']}")
    pairs = [(point["y"], held["yhat"]) for point, held in zip(history["points"], held, strict=True)]
    wape = sum(abs(y - yhat) for y, yhat in pairs) / sum(y for y, _ in pairs)
    assert wape == pytest.approx(told["wape"], rel=1e-4)
    inside = [one["lower"] <= y <= one["upper"] for (y, yhat), one in zip(pairs, held, strict=True) if yhat]
    assert sum(inside) / len(inside) == pytest.approx(told["coverage"])
    assert all(one["yhat"] <= one["p90"] <= one["upper"] for one in held)


def test_quantiles_come_with_each_period_and_frame_its_forecast(call):
    _, _, plain = call(FORECAST, "level=0.8")
    status, _, body = call(FORECAST, "level=0.8&quantiles=0.9,0.1,0.5,0.025")
    assert status == 200
    assert list(body["points"][0]) == ["ds", "yhat", "lower", "upper", "p2.5", "p10", "p50", "p90"]
    for point, alone in zip(body["points"], plain["points"], strict=True):
        assert (point["p10"], point["p50"], point["p90"]) == (alone["lower"], alone["yhat"], alone["upper"])
        assert point["p2.5"] <= point["p10"]
    item = {"id": "x", "series_id": "a", "level": 0.8, "quantiles": [0.1, 0.9, 0.1]}
    _, _, batch = call("/v1/forecasts", body={"items": [item]})
    again = batch["items"][0]["forecast"]["points"][0]
    assert (list(again)[4:], again["p10"]) == (["p10", "p90"], body["points"][0]["p10"])


def test_the_etag_saves_sending_it_again(call):
    _, headers, _ = call(FORECAST)
    status, again, body = call(FORECAST, headers={"if-none-match": headers["etag"]})
    assert (status, body) == (304, "")
    assert again["etag"] == headers["etag"]


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        (FORECAST, "horizon=0", 422, "query.horizon"),
        (FORECAST, "horizon=366", 422, "query.horizon"),
        (FORECAST, "horizon=soon", 422, "query.horizon"),
        (FORECAST, "level=0.4", 422, "query.level"),
        (FORECAST, "level=0.999", 422, "query.level"),
        (FORECAST, "level=nan", 422, "query.level"),
        (FORECAST, "quantiles=0.5,1", 422, "quantiles"),
        (FORECAST, "quantiles=p50", 422, "quantiles"),
        (FORECAST, "quantiles=nan", 422, "quantiles"),
        (FORECAST, "quantiles=" + ",".join(f"0.{i}" for i in range(20, 41)), 422, "quantiles"),
        ("/v1/series", "limit=0", 422, "query.limit"),
        ("/v1/series", "cursor=" + "x" * 129, 422, "query.cursor"),
        ("/v1/series", "cursor=nobody", 422, "cursor"),
        ("/v1/series", "sort=-skill", 422, "query.sort"),
        ("/v1/series", "sort=skill&cursor=nobody", 422, "cursor"),
        ("/v1/series/a/history", "start=yesterday", 422, "query.start"),
        ("/v1/series/a/history", "start=2023-02-01&end=2023-01-01", 422, "start"),
        ("/v1/series/" + "x" * 129 + "/forecast", "", 422, "path.series_id"),
        ("/v1/series/nobody/forecast", "", 404, None),
        ("/v1/series/nobody/similar", "", 404, None),
        (FORECAST, "horizont=7", 422, "query.horizont"),
        ("/v1/series", "page=2", 422, "query.page"),
        ("/v1/forecast", "", 422, "query.series_id"),
        ("/v1/forecast", "series_id=a%0Ab", 422, "query.series_id"),
        ("/v1/series//forecast", "", 422, "path.series_id"),
        ("/v1/series/../catalog/forecast", "", 404, None),
        ("/v1/nothing", "", 404, None),
        ("/nothing", "", 404, None),
    ],
)
def test_a_wrong_request_is_a_problem_that_names_the_field(call, path, query, status, field):
    answered, headers, body = call(path, query)
    assert answered == body["status"] == status
    assert headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail"} <= body.keys()
    assert body.get("field") == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "body.items"),
        ({"items": [{"id": str(i), "series_id": "a"} for i in range(101)]}, "body.items"),
        ({"items": [{"id": "x", "series_id": "a", "horizon": 1e9}]}, "body.items.0.horizon"),
        ({"items": [{"id": "x", "series_id": "a", "surprise": 1}]}, "body.items.0.surprise"),
        ("not json", "body.0"),
        ('{"items": [{"id": "x", "like": "a", "scale": Infinity}]}', "body.items.0.scale"),
    ],
)
def test_a_wrong_batch_is_a_problem_that_names_the_field(call, body, field):
    status, _, answer = call("/v1/forecasts", body=body)
    assert (status, answer["field"]) == (422, field)


def test_a_batch_holds_forecasts_and_problems(call):
    items = [{"id": "1", "series_id": "a", "horizon": 2}, {"id": "2", "series_id": "nobody"}]
    status, _, body = call("/v1/forecasts", body={"items": items})
    assert status == 200
    assert len(body["items"][0]["forecast"]["points"]) == 2
    assert body["items"][1]["problem"]["status"] == 404


def test_a_batch_knows_no_parameter_and_no_other_type_than_json(call):
    items = {"items": [{"id": "1", "series_id": "a", "horizon": 2}]}
    assert call("/v1/forecasts", "horizon=7", body=items)[2]["field"] == "query.horizon"
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        status, headers, body = call("/v1/forecasts", body=items, headers={"content-type": media})
        assert (status, body["title"]) == (415, "Unsupported Media Type")
        assert headers["content-type"].startswith("application/problem+json")
    for media in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.shop+json"):
        assert call("/v1/forecasts", body=items, headers={"content-type": media})[0] == 200


@pytest.mark.parametrize("path", ["/v1/series", FORECAST, "/healthz", "/openapi.json", "/v1/nothing"])
def test_head_is_answered_as_get_without_a_body(call, path):
    status, headers, _ = call(path)
    again, its, body = call(path, method="HEAD")
    assert (again, body, its["content-type"]) == (status, "", headers["content-type"])
    assert int(its["content-length"]) > 0
    assert call(path, method="HEAD", claims=None)[0] == (403 if path.startswith("/v1") else status)


def test_a_long_answer_is_compressed_for_who_accepts_it_and_a_short_one_never(call):
    def sent(query, accepted, path=FORECAST):
        return call.handler(gateway_event(path, query, headers={"accept-encoding": accepted}), None)

    plain, packed = sent("horizon=365", "identity"), sent("horizon=365", "br, gzip")
    assert packed["headers"]["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed["headers"]["vary"]
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]
    assert len(packed["body"]) < len(plain["body"]) / 2
    for short in (sent("horizon=365", ""), sent("k=1", "gzip", "/v1/series/a/similar")):
        assert "content-encoding" not in short["headers"]


@pytest.mark.parametrize("name", ["north/apples", "/", "a/forecast", "..", "geography/type/forecast"])
def test_an_id_with_slashes_is_reached_by_path_and_by_query_and_trained(name):
    house = House()
    house.put(made(60, name=name), made(60, name="a"))
    house.train()
    call = Caller(house.app())
    for route in ("history", "forecast", "similar"):
        for path, query in (
            (f"/v1/series/{quote(name, safe='')}/{route}", ""),
            (f"/v1/{route}", f"series_id={quote(name)}"),
        ):
            status, _, body = call(path, query)
            assert (status, body["series_id"]) == (200, name)
    _, _, body = call("/v1/forecasts", body={"items": [{"id": "1", "series_id": name, "horizon": 2}]})
    assert body["items"][0]["forecast"]["model"]["version"] == house.registry.champion("forecasting").version


@pytest.mark.parametrize("name", ["50% off?", "%41", "a%2Fb", "a#b", "x&y=z", "+"])
def test_any_id_is_reached_by_the_query_as_the_gateway_sends_it(name):
    house = House()
    house.put(made(60, name=name), made(60, name="A"))
    call = Caller(house.app())
    for route in ("history", "forecast", "similar"):
        status, _, body = call(f"/v1/{route}", f"series_id={quote(name, safe='')}")
        assert (status, body["series_id"]) == (200, name)


def test_what_passes_the_size_of_an_answer_is_told_item_by_item():
    house = House()
    wide, rng = made(400, name="a", level=1e6), np.random.default_rng(0)
    house.put(replace(wide, regressors={f"regressor-{i}": rng.normal(0, 1, 400) for i in range(5)}))
    items = [{"id": str(i), "series_id": "a", "horizon": 365, "level": 0.5 + i / 250} for i in range(100)]
    answer = Caller(house.app()).handler(gateway_event("/v1/forecasts", body={"items": items}), None)
    assert len(json.dumps(answer)) < 6_000_000
    results = json.loads(answer["body"])["items"]
    assert [one["id"] for one in results] == [item["id"] for item in items]
    told = [one["problem"] for one in results if "problem" in one]
    assert 5 < len(told) < 50
    assert all("fill the 5,500,000 bytes" in one["detail"] for one in told)


def test_pages_follow_each_other(call):
    _, _, first = call("/v1/series", "limit=2")
    _, _, second = call("/v1/series", f"limit=2&cursor={first['next_cursor']}")
    assert [i["series_id"] for page in (first, second) for i in page["items"]] == ["a", "b", "c d"]
    assert second["next_cursor"] is None
    assert first["items"][0]["model"].keys() == {"kind", "version", "skill"}


def test_numbers_within_ids_are_ordered_as_numbers_over_all_pages() -> None:
    house = House()
    for name in ("1", "11", "10", "2", "store-9", "store-10", "Store-3"):
        house.put(made(30, name=name), key=f"sales/{name}.csv")
    call = Caller(house.app())
    listed, cursor = [], ""
    while cursor is not None:
        _, _, page = call("/v1/series", f"limit=3&cursor={cursor}")
        listed += [item["series_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert listed == ["1", "2", "10", "11", "Store-3", "store-9", "store-10"]


def test_similar_leaves_the_series_itself_out(call):
    _, _, body = call("/v1/series/a/similar", "k=2")
    assert {item["series_id"] for item in body["items"]} == {"b", "c d"}
    assert body["items"][0].keys() == {"series_id", "distance", "shared"}


SPELLINGS = ("/v1/series", "//v1/series", "/v1//series", "/V1/series", "/%76%31/series", "/%2fv1/series", "/v1")
DETOURS = (
    "/./v1/series",
    "/x/../v1/series",
    "/static/../v1/series",
    "/%252e%252e/v1/series",
    "\\v1\\series",
    " /v1/series",
)


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("claims", [None, {}, {"sub": ""}, CLAIMS | {"token_use": "id"}])
def test_v1_without_claims_is_refused_however_it_is_spelt(call, path, claims):
    status, _, body = call(path, claims=claims)
    assert status == 403
    assert "items" not in body


@pytest.mark.parametrize("path", DETOURS)
def test_no_detour_leads_to_v1_without_claims(call, path):
    status, _, body = call(path, claims=None)
    assert status in {403, 404}
    assert "items" not in body


def test_what_is_open_needs_no_claims(call):
    for path in ("/healthz", "/openapi.json"):
        assert call(path, claims=None)[0] == 200


def test_an_unexpected_condition_is_not_told_outside():
    house = House()
    house.put(made(60, name="a"))
    house.train()
    for key in [key for key in house.models.bodies if key.endswith("models/a.json")]:
        house.models.bodies[key] = b"{}"
    status, _, body = Caller(house.app())(FORECAST)
    assert status == 500
    assert "forecasting/" not in json.dumps(body)


@pytest.mark.parametrize("lost", ["models/a.json", "index.json"])
def test_a_missing_model_is_our_fault_and_its_key_is_not_told(lost):
    house = House()
    house.put(made(60, name="a"))
    house.train()
    for key in [key for key in house.models.bodies if key.endswith(lost)]:
        del house.models.bodies[key]
    status, _, body = Caller(house.app())(FORECAST)
    assert (status, body["status"]) == (500, 500)
    assert "forecasting/" not in json.dumps(body)


def test_storage_that_does_not_answer_is_told_without_its_names():
    house = House()
    house.put(made(60, name="a"))

    def down(key):
        with translated(key):
            raise EndpointConnectionError(endpoint_url="https://lake.example")

    house.lake.get = down
    status, headers, body = Caller(house.app())(FORECAST)
    assert (status, headers["retry-after"]) == (503, "1")
    assert "history" not in json.dumps(body)
