"""Clustering: every night, a state machine labels the day's rides."""

from constructs import Construct

from functions.clustering.settings import CLUSTERING
from infra.grants import allow_items, allow_objects
from infra.leaf import HOUR, Alarm, Leaf, Stage
from infra.planned_map import PlannedMap


class Clustering(Leaf):
    """fit -> label, once for each item of the plan -> publish."""

    name = "clustering"

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_, stage=stage)
        deploy, lake, models = stage.deploy, stage.data.lake, stage.data.models
        settings = stage.settings(CLUSTERING, timezone=deploy.timezone, model_days=deploy.superseded_days)
        self.environment, memory = settings.environment(), deploy.clustering_memory_mb
        fit, label, publish = (self.add(entry, memory_mb=memory) for entry in ("fit", "label", "publish"))

        allow_objects(fit.role, lake, read="rides/ verdicts/", write="plans/clustering/")
        allow_objects(fit.role, models, read="clustering/", write="clustering/")
        allow_items(fit.role, stage.data.registry, "PutItem", leaf=self.name)
        allow_items(fit.role, stage.data.runs, "GetItem", "PutItem", leaf=self.name)

        allow_objects(label.role, lake, read="rides/", write="anomalies/runs/ plans/clustering/")
        allow_objects(label.role, models, read="clustering/")
        written, tagged = "anomalies/reports/ anomalies/days/", "plans/clustering/ anomalies/runs/ anomalies/reports/"
        allow_objects(publish.role, lake, read="plans/clustering/ anomalies/days/", write=written, tag=tagged)
        allow_items(publish.role, stage.data.runs, "GetItem", "PutItem", leaf=self.name)

        runs = PlannedMap(self, "Run", plan=fit, work=label, publish=publish)
        self.every("Daily", deploy.clustering_schedule, runs.machine)

        self.outputs = {"ClusteringStateMachine": runs.machine.state_machine_arn}
        self.alarms = (
            Alarm("clustering-run-failed", runs.unfinished()),
            Alarm("day-not-published", self.emitted("DaysPublished"), daily=True),
        )
        self.panels = {
            "freshness": self.emitted("DaysPublished", "DaysEmpty"),
            "volume": self.emitted("Rides"),
            "quality": self.emitted("Anomalies", "Rejected"),
            "latency": [self.took("label", "p99")],
            "errors": [runs.machine.metric_failed(period=HOUR), *self.errors()],
        }
