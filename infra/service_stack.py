"""The three leaves, the console, and what watches over them; what is worth keeping lies in the data stack."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.console import Console
from infra.data_stack import DataStack
from infra.event_queue import dead_letter_queue
from infra.forecasting import Forecasting
from infra.leaf import Leaf, Stage
from infra.monitoring import Monitoring
from infra.settings import DeploySettings, StageFile
from infra.warehouse import Warehouse


class ServiceStack(Stack):
    """Everything that runs."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        data: DataStack,
        deploy: DeploySettings,
        file: StageFile,
        more: Sequence[type[Leaf]] = (),
        **stack: Any,
    ) -> None:
        """`more` are leaves beside the three."""
        super().__init__(scope, id_, **stack)
        undelivered = dead_letter_queue(self, "Undelivered")
        stage = Stage(data, deploy, file, undelivered)
        clustering = Clustering(self, "Clustering", stage=stage)
        forecasting = Forecasting(self, "Forecasting", stage=stage)
        classification = Classification(self, "Classification", stage=stage)
        console = Console(
            self,
            "Console",
            stage=stage,
            http=forecasting.http,
            queues=classification.queues | {"Undelivered": undelivered},
        )
        others = [kind(self, kind.name.title(), stage=stage) for kind in more]
        leaves: list[Leaf] = [clustering, forecasting, classification, console, *others]
        warehouse = Warehouse(self, "Warehouse", stage=stage)
        monitoring = Monitoring(self, "Monitoring", stage=stage, leaves=leaves)
        outputs = {
            "Undelivered": undelivered.queue_url,
            "Database": warehouse.database,
            "Workgroup": warehouse.workgroup,
            "AlarmTopic": monitoring.topic.topic_arn,
        }
        for leaf in leaves:
            outputs.update(leaf.outputs)
            for entry, made in leaf.functions.items():
                outputs[f"Function{leaf.name.title()}{entry.title()}"] = made.function.function_name
        for name, value in outputs.items():
            CfnOutput(self, f"{name}Out", key=name, value=value)
