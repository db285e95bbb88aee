"""What the constructs of leaves and console share: the stage they stand in, their functions and their schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, TimeZone
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.data_stack import DataStack
from infra.grants import acknowledge_versions
from infra.image_function import ImageFunction
from infra.settings import DeploySettings, StageFile
from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings

BATCH_TIMEOUT = Duration.minutes(15)
FIVE_MINUTES, HOUR, DAY = Duration.minutes(5), Duration.hours(1), Duration.days(1)
# What starts late by more than three hours does not start, and goes to the undelivered.
DELIVERY: dict[str, Any] = {"retry_attempts": 10, "max_event_age": Duration.hours(3)}


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

    def settings(self, leaf: LeafDescription, **given: Any) -> Settings:
        """Run-time settings of a leaf: its section of the stage's file, what every leaf has, and what is `given`."""
        return self.file.settings(
            leaf.settings,
            leaf.name,
            stage=self.deploy.stage,
            lake_bucket=self.data.lake.bucket_name,
            models_bucket=self.data.models.bucket_name,
            models_table=self.data.registry.table_name,
            runs_table=self.data.runs.table_name,
            **given,
        )


@dataclass(frozen=True)
class Alarm:
    """Rings when one of `metrics` is above a value, a `daily` one when a calendar day of the stage ends with none."""

    name: str
    metrics: Sequence[cloudwatch.IMetric]
    above: float = 0.0
    daily: bool = False


class Leaf(Construct):
    """Base of each: one image, several functions of it; what the stack tells of it, and how it is watched.

    Its code is the package `name` within the package `root`. `panels` are its column of the dashboard: the metrics that
    answer each of the dashboard's questions.
    """

    name: str
    root: str = "functions"
    environment: dict[str, str]
    outputs: Mapping[str, str] = {}
    alarms: Sequence[Alarm] = ()
    panels: Mapping[str, Sequence[cloudwatch.IMetric]] = {}

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.stage = stage
        self.functions: dict[str, ImageFunction] = {}

    def add(self, entry: str, *, group: str = "", **function: Any) -> ImageFunction:
        """Make the function of `<root>.<leaf>.handler.<entry>`; `function` as `ImageFunction` takes it, by default
        with the leaf's environment and 15 minutes."""
        given: dict[str, Any] = {"timeout": BATCH_TIMEOUT, "environment": self.environment} | function
        self.functions[entry] = ImageFunction(
            self,
            entry.title(),
            deploy=self.stage.deploy,
            handler=f"{self.root}.{self.name}.handler.{entry}",
            group=group or self.name,
            **given,
        )
        return self.functions[entry]

    def emitted(self, *names: str, period: Duration = DAY, statistic: str = "Sum") -> list[cloudwatch.Metric]:
        """Metrics of these names that the functions of this leaf emit on this stage."""
        dimensions = {"stage": self.stage.deploy.stage, "service": self.name}
        shared: dict[str, Any] = {"dimensions_map": dimensions, "period": period, "statistic": statistic}
        return [cloudwatch.Metric(namespace="Trefoil", metric_name=name, **shared) for name in names]

    def took(self, entry: str, statistic: str) -> cloudwatch.Metric:
        """How long calls of a function take, ms."""
        return self.functions[entry].function.metric_duration(statistic=statistic, label=f"{entry} {statistic}")

    def errors(self) -> list[cloudwatch.Metric]:
        """Failed calls of each function."""
        return [made.function.metric_errors(label=entry, period=HOUR) for entry, made in self.functions.items()]

    def every(self, id_: str, when: str, target: sfn.StateMachine | lambda_.IFunction) -> None:
        """Start `target` with `{"scheduled_at": ...}` at `when`, a cron or rate expression in the deployment's zone."""
        role = iam.Role(self, f"{id_}Role", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
        common: dict[str, Any] = DELIVERY | {
            "input": scheduler.ScheduleTargetInput.from_object(
                {"scheduled_at": scheduler.ContextAttribute.scheduled_time}
            ),
            "role": role,
            "dead_letter_queue": self.stage.undelivered,
        }
        start: scheduler.IScheduleTarget
        if isinstance(target, sfn.StateMachine):
            start = targets.StepFunctionsStartExecution(target, **common)
        else:
            start = targets.LambdaInvoke(target, **common)
            acknowledge_versions(role, target)
        expression = scheduler.ScheduleExpression.expression(when, TimeZone.of(self.stage.deploy.timezone))
        scheduler.Schedule(self, id_, schedule=expression, target=start)
