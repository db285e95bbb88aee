"""Forecasting: files become histories, a weekly state machine refits, an API answers."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from functions.forecasting.settings import FORECASTING
from infra.event_queue import EventQueue
from infra.grants import allow_items, allow_objects
from infra.http_api import HttpApi
from infra.image_function import ImageFunction
from infra.leaf import BATCH_TIMEOUT, DELIVERY, FIVE_MINUTES, HOUR, Alarm, Leaf, Stage
from infra.planned_map import PlannedMap

API_TIMEOUT = Duration.seconds(29)


class Forecasting(Leaf):
    """ingest on arrival of a file; plan -> train -> publish every week; api on demand."""

    name = "forecasting"

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_, stage=stage)
        deploy, data = stage.deploy, stage.data
        self.environment = stage.settings(FORECASTING, forecasts_table=data.forecasts.table_name).environment()
        batch, memory = ("ingest", "plan", "train", "publish"), deploy.training_memory_mb
        ingest, plan, train, publish = (self.add(entry, memory_mb=memory) for entry in batch)
        api = self.add(
            "api",
            memory_mb=deploy.forecasting_memory_mb,
            timeout=API_TIMEOUT,
            snap_start=deploy.snap_start,
        )

        plans, catalog = "plans/forecasting/", "catalog.json catalog/"
        arrived, made = f"sales/ history/ {catalog}", f"{plans}rejected/ history/ {catalog}"
        allow_objects(ingest.role, data.lake, read=arrived, write=made)
        allow_objects(plan.role, data.lake, read=f"history/ {catalog}", write=plans)
        allow_objects(train.role, data.lake, read="history/", write=plans)
        allow_objects(publish.role, data.lake, read=f"{plans} {catalog}", write=catalog)
        allow_objects(api.role, data.lake, read=f"history/ {catalog}")
        for function in (plan, train, publish):
            allow_objects(function.role, data.models, read="forecasting/", write="forecasting/")
        allow_objects(api.role, data.models, read="forecasting/")
        for function in (ingest, plan, publish):
            allow_items(function.role, data.runs, "GetItem", "PutItem", leaf=self.name)
        for function in (plan, publish, api):
            allow_items(function.role, data.registry, "GetItem", leaf=self.name)
        allow_items(publish.role, data.registry, "PutItem", leaf=self.name)
        allow_items(api.role, data.forecasts, "GetItem", "PutItem", "Query")

        arrivals = self._on_arrival(ingest)
        runs = PlannedMap(self, "Run", plan=plan, work=train, publish=publish)
        self.every("Weekly", deploy.forecasting_schedule, runs.machine)
        http = self.http = HttpApi(self, "Http", stage=stage, function=api.target)

        self.outputs = {
            "ApiUrl": http.api.api_endpoint,
            "ForecastingStateMachine": runs.machine.state_machine_arn,
            "ForecastingArrivals": arrivals.queue.queue_url,
        }
        # State machines call their functions again and ring when that was in vain; the API's failures ring as answers.
        self.alarms = (
            Alarm("api-5xx", [http.api.metric_server_error(period=FIVE_MINUTES, statistic="Sum")]),
            Alarm("forecasting-run-failed", runs.unfinished()),
            Alarm("function-errors", [ingest.function.metric_errors()]),
        )
        self.panels = {
            "freshness": self.emitted("SeriesTrained", "SeriesFailed"),
            "volume": [http.api.metric_count(period=HOUR)],
            "quality": self.emitted("MeanSkill", statistic="Average"),
            "latency": [http.api.metric_latency(statistic=statistic) for statistic in ("p50", "p99")],
            "errors": [runs.machine.metric_failed(period=HOUR), http.api.metric_server_error(), *self.errors()],
        }

    def _on_arrival(self, ingest: ImageFunction) -> EventQueue:
        """Through a queue: of a thousand files at once few are ingested at a time, and none fails by the others."""
        bucket, undelivered = {"name": [self.stage.data.lake.bucket_name]}, self.stage.undelivered
        arrivals = EventQueue(
            self,
            "Arrivals",
            timeout=BATCH_TIMEOUT,
            window=Duration.seconds(0),
            timeouts=1,
            dead_letters=undelivered,
        )
        arrivals.read_by(ingest.target, batch=1, concurrency=self.stage.deploy.ingest_concurrency)
        target = targets.SqsQueue(arrivals.queue, dead_letter_queue=undelivered, **DELIVERY)
        events.Rule(
            self,
            "SalesArrived",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": bucket, "object": {"key": [{"prefix": "sales/"}]}},
            ),
            targets=[target],
        )
        return arrivals
