import io
import json
from types import SimpleNamespace

import pytest

from functions.forecasting import handler
from functions.forecasting.intake import JOB
from layers.runtime.observability import logger
from tests.forecasting import Caller, House, gateway_event, made, written

CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=1024, invoked_function_arn="arn", aws_request_id="request-1"
)


@pytest.fixture
def house(monkeypatch):
    stocked = House()
    stocked.lake.put("sales/a.csv", written(made(60, name="a")))
    monkeypatch.setattr(handler, "build_intake", lambda: stocked.ingestion)
    monkeypatch.setattr(handler, "build_api", lambda: Caller(stocked.app()).handler)
    return stocked


def arrival(etag):
    event = {
        "id": "event-1",
        "time": "2026-01-05T00:00:00Z",
        "detail": {"object": {"key": "sales/a.csv", "etag": etag}},
    }
    return {"Records": [{"messageId": "m", "body": json.dumps(event)}]}


def test_a_message_of_an_arrival_is_ingested_once_and_acknowledged(house):
    first, again = (handler.ingest(arrival("x"), CONTEXT) for _ in range(2))
    assert first["batchItemFailures"] == again["batchItemFailures"] == []
    assert [answer["files"][0]["status"] for answer in (first, again)] == ["done", "skipped"]


def test_a_message_whose_ingestion_died_is_taken_over_when_it_comes_again(house, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(house.lake, "open", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            handler.ingest(arrival("x"), CONTEXT)
    assert house.ledger.get(JOB, "sales/a.csv").outcome == "running"
    assert handler.ingest(arrival("x"), CONTEXT)["files"][0]["status"] == "done"


def test_every_line_of_the_log_names_its_request(house, monkeypatch):
    lines = io.StringIO()
    monkeypatch.setattr(logger("forecasting").registered_handler, "stream", lines)
    handler.ingest(arrival("x"), CONTEXT)
    assert handler.api(gateway_event("/v1/forecast", "series_id=a"), CONTEXT)["statusCode"] == 200
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert {"file ingested", "series without a model approximated"} <= {line["message"] for line in found}
    assert {line["function_request_id"] for line in found} == {"request-1"}
