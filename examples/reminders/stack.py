"""Reminders: a function reads the stream of the table of segments."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from examples.reminders.settings import REMINDERS
from infra.grants import acknowledge_wildcard, allow_objects
from infra.leaf import Alarm, Leaf, Stage


class Reminders(Leaf):
    """remind, for each change of a result."""

    name = REMINDERS.name
    root = "examples"

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_, stage=stage)
        self.environment = stage.settings(REMINDERS).environment()
        remind = self.add("remind", group="runtime", memory_mb=512, timeout=Duration.minutes(1))
        remind.target.add_event_source(
            sources.DynamoEventSource(
                stage.data.classifications,
                starting_position=lambda_.StartingPosition.LATEST,
                batch_size=500,
                max_batching_window=Duration.seconds(5),
                bisect_batch_on_error=True,
                retry_attempts=5,
                on_failure=sources.SqsDlq(stage.undelivered),
            )
        )
        acknowledge_wildcard(remind.role, "Resource::*", "streams are listed for all tables or for none")
        allow_objects(remind.role, stage.data.lake, write="reminders/")

        self.alarms = (Alarm("function-errors", [remind.function.metric_errors()]),)
        self.panels = {
            "volume": self.emitted("Reminders", "Strange"),
            "latency": [self.took("remind", "p99")],
            "errors": self.errors(),
        }
