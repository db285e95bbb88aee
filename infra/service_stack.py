"""The three leaves and what watches over them; disposable, everything worth keeping lies in the data stack."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.data_stack import DataStack
from infra.event_queue import dead_letter_queue
from infra.forecasting import Forecasting
from infra.leaf import Stage
from infra.monitoring import Monitoring
from infra.settings import DeploySettings, StageFile
from infra.warehouse import Warehouse


class ServiceStack(Stack):
    """Everything that runs."""

    def __init__(
        self, scope: Construct, id_: str, *, data: DataStack, deploy: DeploySettings, file: StageFile, **stack: Any
    ) -> None:
        super().__init__(scope, id_, **stack)
        undelivered = dead_letter_queue(self, "Undelivered")
        stage = Stage(data, deploy, file, undelivered)
        clustering = Clustering(self, "Clustering", stage=stage)
        forecasting = Forecasting(self, "Forecasting", stage=stage)
        classification = Classification(self, "Classification", stage=stage)
        warehouse = Warehouse(self, "Warehouse", stage=stage)
        monitoring = Monitoring(self, "Monitoring", stage=stage, leaves=(clustering, forecasting, classification))
        for name, value in {
            "ApiUrl": forecasting.http.url,
            "UserPoolClient": forecasting.client.user_pool_client_id,
            "ClusteringStateMachine": clustering.machine.state_machine_arn,
            "ForecastingStateMachine": forecasting.machine.state_machine_arn,
            "ForecastingArrivals": forecasting.arrivals.queue.queue_url,
            "ClassificationQueue": classification.events.queue.queue_url,
            "ClassificationDeadLetters": classification.events.dead_letters.queue_url,
            "Undelivered": undelivered.queue_url,
            "Database": warehouse.database,
            "Workgroup": warehouse.workgroup,
            "AlarmTopic": monitoring.topic.topic_arn,
        }.items():
            CfnOutput(self, f"{name}Out", key=name, value=value)
        for leaf in (clustering, forecasting, classification):
            for entry, function in leaf.functions.items():
                key = f"Function{leaf.name.title()}{entry.title()}"
                CfnOutput(self, f"{key}Out", key=key, value=function.function.function_name)
