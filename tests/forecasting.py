"""The leaf on fakes: what the handlers wire, without AWS."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from functions.forecasting.api import create_app
from functions.forecasting.contracts import PlanEvent, Shard
from functions.forecasting.domain.fit import train
from functions.forecasting.domain.series import Series
from functions.forecasting.intake import Ingested, IngestService
from functions.forecasting.learn import TrainingService
from functions.forecasting.serve import ForecastService
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import Answers, Catalog, Histories, Models, Overrides
from layers.runtime.http import PROBLEM
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.fakes import InMemoryObjects, InMemoryTable
from tests.tables import as_csv

START = np.datetime64("2023-01-02")  # a Monday
CLAIMS = {"sub": "someone", "token_use": "access"}


def made(days: int = 300, *, seed: int = 0, name: str = "s", promo: bool = True, level: float = 100.0) -> Series:
    """A shop closed on Sundays, with a weekly shape, promotions every other week and 10 % noise."""
    rng = np.random.default_rng(seed)
    i = np.arange(days)
    opened = (i % 7 != 6).astype(float)
    on = ((i // 7 % 2 == 0) & (i % 7 < 5)).astype(float)
    week = np.array([0.2, 0.1, 0.0, 0.0, 0.1, -0.3, 0.0])[i % 7]
    y = np.exp(np.log(level) + week + 0.3 * on * promo + rng.normal(0, 0.1, days)) * opened
    return Series(name, START, y, opened, {"promo": on} if promo else {})


def written(*series: Series) -> bytes:
    """The series as a CSV file."""
    parts = [
        pa.table(
            {
                "series_id": [one.series_id] * len(one.y),
                "ds": one.times.astype(str),
                "y": pa.array(one.y, from_pandas=True),
                **({} if one.open is None else {"open": one.open}),
                **one.regressors,
            }
        )
        for one in series
    ]
    return as_csv(pa.concat_tables(parts))


def gateway_event(
    path: str,
    query: str = "",
    *,
    body: Any = None,
    claims: dict[str, Any] | None = CLAIMS,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> dict[str, Any]:
    """A call of this path as API Gateway hands it over, which decodes it and cuts it at a question mark.

    Bytes of a body are sent as they are.
    """
    path = unquote(path).split("?")[0]
    method = method or ("GET" if body is None else "POST")
    if isinstance(body, bytes):
        body, binary = base64.b64encode(body).decode(), True
    else:
        body, binary = body if body is None or isinstance(body, str) else json.dumps(body), False
    context: dict[str, Any] = {
        "http": {"method": method, "path": path, "sourceIp": "1.1.1.1", "protocol": "HTTP/1.1", "userAgent": "t"},
        "domainName": "api",
        "stage": "$default",
    }
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "api", "content-type": "application/json", **(headers or {})},
        "requestContext": context,
        "body": body,
        "isBase64Encoded": binary,
    }


class House:
    """Buckets, tables, and every service over them."""

    def __init__(self) -> None:
        self.lake, self.models = InMemoryObjects(), InMemoryObjects()
        self.answers = InMemoryTable("series_id", "item")
        self.registry = ModelRegistry(self.models, InMemoryTable("leaf", "version"))
        self.runs = InMemoryTable("job", "key")
        self.ledger = RunLedger(self.runs)
        self.ingestion = self.intake()
        self.fits: list[str] = []

    def fit(self, series: Series, **arguments: Any) -> Any:
        """The real one, counted."""
        self.fits.append(series.series_id)
        return train(series, **arguments)

    def intake(self, **settings: Any) -> IngestService:
        """Ingestion over the fakes."""
        return IngestService(self.lake, self.ledger, ForecastingSettings(**settings))

    def learn(self, *_: Any, **__: Any) -> Any:
        """No model of all series, which takes seconds; tests of it replace this."""
        return "left out here"

    def put(self, *series: Series, key: str = "sales/a.csv", **arguments: Any) -> Ingested:
        """Let a file of these series arrive."""
        self.lake.put(key, written(*series))
        return self.ingestion.ingest(key, **arguments)

    def training(
        self, fit: Callable[..., Any] | None = None, shard_series: int = 2, **settings: Any
    ) -> TrainingService:
        """Training over the fakes."""
        chosen = ForecastingSettings(holdout_days=28, shard_series=shard_series, memory_mb=1024, **settings)
        return TrainingService(self.lake, self.models, self.registry, self.ledger, chosen, fit or self.fit, self.learn)

    def train(self, holidays: str = "", **event: Any) -> dict[str, Any]:
        """The whole state machine."""
        service = self.training(holidays=holidays)
        planned = service.plan(PlanEvent.model_validate(event))
        if planned.status != "planned":
            return {"status": planned.status}
        for shard in json.loads(self.lake.get(planned.plan_key)):
            service.train(Shard.model_validate(shard))
        return service.publish(planned)

    def service(self, *, freshness: float = 0.0, **settings: Any) -> ForecastService:
        """A new container's service: nothing in memory."""
        return ForecastService(
            Histories(self.lake, freshness=freshness),
            Catalog(self.lake, freshness=freshness),
            Models(self.models, self.registry, freshness=freshness),
            Answers(self.answers, keep_seconds=3600),
            Overrides(self.answers, freshness=freshness),
            ForecastingSettings(holdout_days=28, **settings),
        )

    def app(self, service: ForecastService | None = None) -> Any:
        """The FastAPI application."""
        return create_app(service or self.service())


class Caller:
    """Calls the application as API Gateway does."""

    def __init__(self, app: Any) -> None:
        self.handler = Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM])

    def __call__(self, path: str, query: str = "", **call: Any) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body (parsed when it is JSON) of what `gateway_event` makes of this."""
        event = gateway_event(path, query, **call)
        answer = self.handler(event, None)  # type: ignore[arg-type]
        text = answer["body"]
        parsed = json.loads(text) if text and "json" in answer["headers"].get("content-type", "") else text
        return answer["statusCode"], answer["headers"], parsed
