"""What `forecasting` measures in processes of their own: `stock N`, `ask N`, `first cached|computed`."""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402 - the clock starts before any import
import sys  # noqa: E402
from types import SimpleNamespace  # noqa: E402
from typing import Any  # noqa: E402

CLAIMS = {"sub": "bench", "token_use": "access"}
CONTEXT = SimpleNamespace(
    function_name="bench", memory_limit_in_mb=1769, invoked_function_arn="arn", aws_request_id="request"
)


def event(series_id: str, horizon: int) -> dict[str, Any]:
    """A call as API Gateway hands it over."""
    path = f"/v1/series/{series_id}/forecast"
    return {
        "version": "2.0",
        "routeKey": "GET /v1/{proxy+}",
        "rawPath": path,
        "rawQueryString": f"horizon={horizon}",
        "headers": {"host": "api"},
        "requestContext": {
            "http": {"method": "GET", "path": path, "sourceIp": "1.1.1.1", "protocol": "HTTP/1.1", "userAgent": "b"},
            "domainName": "api",
            "stage": "$default",
            "authorizer": {"jwt": {"claims": CLAIMS, "scopes": None}},
        },
        "isBase64Encoded": False,
    }


def call(series_id: str, horizon: int, source: str) -> float:
    """Seconds in the handler; the answer must come from `source`."""
    from functions.forecasting.handler import api

    asked = event(series_id, horizon)
    started = time.perf_counter()
    answer = api(asked, CONTEXT)
    seconds = time.perf_counter() - started
    if answer["statusCode"] != 200 or answer["headers"]["x-cache"] != source:
        raise SystemExit(f"{answer['statusCode']} {answer['headers'].get('x-cache')}: {answer['body'][:500]}")
    return seconds


def stock(stores: int) -> dict[str, float]:
    """Fill the local cloud: stores with a model, and as many with a history only."""
    import io

    import boto3
    import pyarrow.csv as csv

    from functions.forecasting import handler, simulate

    lake = boto3.client("s3")

    def arrive(key: str, seed: int, prefix: str) -> float:
        made, _ = simulate.table(stores, simulate.DAYS, 0, seed)
        names = [prefix + name for name in made["series_id"].to_pylist()]
        sink = io.BytesIO()
        csv.write_csv(made.set_column(0, "series_id", [names]), sink)
        lake.put_object(Bucket="lake", Key=key, Body=sink.getvalue())
        started = time.perf_counter()
        handler.ingest({"keys": [key]}, CONTEXT)
        return time.perf_counter() - started

    seconds = arrive("sales/modelled.csv", 1, "")
    planned = handler.plan({}, CONTEXT)
    body = lake.get_object(Bucket="lake", Key=planned["plan_key"])["Body"].read()
    for shard in json.loads(body):
        handler.train(shard, CONTEXT)
    handler.publish(planned, CONTEXT)
    arrive("sales/waiting.csv", 2, "new-")
    call("store-0001", 42, "computed")
    return {"ingest": seconds}


def ask(count: int) -> dict[str, list[float]]:
    """Seconds of `count` answers from memory, and of some from the table, from a stored model and by a fit."""
    import uuid

    import boto3

    lake = boto3.client("s3")
    call("store-0001", 42, "table")
    memory = [call("store-0001", 42, "memory") for _ in range(count)]
    names = [f"store-{i:04}" for i in range(2, 12)]
    computed = [call(name, horizon, "computed") for name in names for horizon in (int(uuid.uuid4().int % 300) + 43,)]
    from functions.forecasting.handler import build_api

    for name in names:
        call_either(name)
    build_api.cache_clear()
    call("store-0001", 42, "table")
    table = [call(name, 42, "table") for name in names]
    spot = []
    for i in range(1, 4):
        body = lake.get_object(Bucket="lake", Key=f"history/new-store-{i:04}.json.gz")["Body"].read()
        name = f"spot-{uuid.uuid4().hex}"
        lake.put_object(Bucket="lake", Key=f"history/{name}.json.gz", Body=body)
        spot.append(call(name, 42, "computed"))
    return {"memory": memory, "computed": computed, "table": table, "spot": spot[1:]}


def call_either(series_id: str) -> None:
    """Put the 42-day answer into the table."""
    from functions.forecasting.handler import api

    api(event(series_id, 42), CONTEXT)


def first(kind: str) -> dict[str, float]:
    """Seconds from the first line of this process to its first answer, imports included."""
    import random

    horizon = 42 if kind == "cached" else random.randint(60, 360)
    call(
        "store-0001" if kind == "cached" else f"store-{random.randint(12, 40):04}",
        horizon,
        "table" if kind == "cached" else "computed",
    )
    heavy = {"prophet", "pandas"} & set(sys.modules)
    if heavy:
        raise SystemExit(f"imported {heavy}")
    return {"seconds": time.perf_counter() - BEGAN}


if __name__ == "__main__":
    job, argument = sys.argv[1:]
    jobs: dict[str, Any] = {"stock": stock, "ask": ask, "first": first}
    print(json.dumps(jobs[job](int(argument) if argument.isdigit() else argument)))
