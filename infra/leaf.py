"""What the constructs of the three leaves share: the stage they stand in, and how they make a function."""

from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.data_stack import DataStack
from infra.image_function import ImageFunction
from infra.planned_map import PlannedMap
from infra.schedule import schedule
from infra.settings import AnySettings, DeploySettings, StageFile

BATCH_TIMEOUT = Duration.minutes(15)


@dataclass(frozen=True)
class Stage:
    """Data and settings of the deployment, the file they stand in, and the queue of what no trigger delivered."""

    data: DataStack
    deploy: DeploySettings
    file: StageFile
    undelivered: sqs.IQueue

    @property
    def log_retention(self) -> logs.RetentionDays:
        """How long every log group keeps its events."""
        return logs.RetentionDays[self.deploy.log_retention]

    def settings(self, kind: type[AnySettings], leaf: str, **given: Any) -> AnySettings:
        """Run-time settings of a leaf: its section of the stage's file, what every leaf has, and what is `given`."""
        return self.file.settings(
            kind,
            leaf,
            stage=self.deploy.stage,
            lake_bucket=self.data.lake.bucket_name,
            models_bucket=self.data.models.bucket_name,
            models_table=self.data.registry.table_name,
            runs_table=self.data.runs.table_name,
            **given,
        )


class Leaf(Construct):
    """Base of the three: one image, several functions of it."""

    name: str

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.stage = stage
        self.functions: dict[str, ImageFunction] = {}

    def add(
        self,
        entry: str,
        *,
        memory_mb: int,
        environment: dict[str, str],
        module: str = "handler",
        group: str = "",
        timeout: Duration = BATCH_TIMEOUT,
        snap_start: bool = False,
    ) -> ImageFunction:
        """Make the function of `functions.<leaf>.<module>.<entry>`."""
        deploy = self.stage.deploy
        made = ImageFunction(
            self,
            entry.title(),
            leaf=self.name,
            handler=f"functions.{self.name}.{module}.{entry}",
            group=group or self.name,
            memory_mb=memory_mb,
            timeout=timeout,
            environment=environment,
            packaging=deploy.packaging,
            architecture=deploy.architecture,
            snap_start=snap_start,
            log_retention=self.stage.log_retention,
        )
        self.functions[entry] = made
        return made

    def map_over_plan(self, plan: ImageFunction, work: ImageFunction, publish: ImageFunction) -> sfn.StateMachine:
        """The state machine of this leaf's batch job."""
        return PlannedMap(
            self,
            "Run",
            plan=plan.target,
            work=work.target,
            publish=publish.target,
            lake=self.stage.data.lake,
            plans=f"plans/{self.name}",
            concurrency=self.stage.deploy.map_concurrency,
            log_retention=self.stage.log_retention,
        ).machine

    def keep_failures(self, function: ImageFunction) -> None:
        """After Lambda's own two retries, an asynchronous call that failed goes to the undelivered."""
        function.target.configure_async_invoke(on_failure=destinations.SqsDestination(self.stage.undelivered))

    def every(self, id_: str, when: str, target: sfn.IStateMachine | lambda_.IFunction) -> None:
        """Start `target` on a schedule in the deployment's zone."""
        timezone, dead_letters = self.stage.deploy.timezone, self.stage.undelivered
        schedule(self, id_, target, when=when, timezone=timezone, dead_letters=dead_letters)
