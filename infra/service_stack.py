"""The three leaves and what watches over them; disposable, everything worth keeping lies in the data stack."""

from typing import Any, Final

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.data_stack import DataStack
from infra.event_queue import dead_letter_queue
from infra.forecasting import Forecasting
from infra.leaf import Leaf, Stage
from infra.monitoring import Monitoring
from infra.settings import DeploySettings, StageFile
from infra.warehouse import Warehouse

LEAVES: Final[tuple[type[Leaf], ...]] = (Clustering, Forecasting, Classification)


class ServiceStack(Stack):
    """Everything that runs."""

    def __init__(
        self, scope: Construct, id_: str, *, data: DataStack, deploy: DeploySettings, file: StageFile, **stack: Any
    ) -> None:
        super().__init__(scope, id_, **stack)
        undelivered = dead_letter_queue(self, "Undelivered")
        stage = Stage(data, deploy, file, undelivered)
        leaves = [kind(self, kind.name.title(), stage=stage) for kind in LEAVES]
        warehouse = Warehouse(self, "Warehouse", stage=stage)
        monitoring = Monitoring(self, "Monitoring", stage=stage, leaves=leaves)
        outputs = {
            "Undelivered": undelivered.queue_url,
            "Database": warehouse.database,
            "Workgroup": warehouse.workgroup,
            "AlarmTopic": monitoring.topic.topic_arn,
        }
        for leaf in leaves:
            outputs |= leaf.outputs
            for entry, made in leaf.functions.items():
                outputs[f"Function{leaf.name.title()}{entry.title()}"] = made.function.function_name
        for name, value in outputs.items():
            CfnOutput(self, f"{name}Out", key=name, value=value)
