"""Classification: a queue is scored in batches, drift is watched every hour, a candidate is trained every week."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from functions.classification.settings import CLASSIFICATION
from infra.event_queue import EventQueue
from infra.grants import allow_items, allow_objects
from infra.leaf import FIVE_MINUTES, HOUR, Alarm, Leaf, Stage

SCORE_TIMEOUT = Duration.seconds(60)


class Classification(Leaf):
    """score and watch of the serving image; train of an image of its own."""

    name = "classification"

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_, stage=stage)
        deploy, data = stage.deploy, stage.data
        events = EventQueue(self, "Events", timeout=SCORE_TIMEOUT, window=Duration.seconds(deploy.score_window_s))
        settings = stage.settings(
            CLASSIFICATION,
            classifications_table=data.classifications.table_name,
            profiles_table=data.profiles.table_name,
            dead_letter_queue_url=events.dead_letters.queue_url,
            queue_url=events.queue.queue_url,
        )
        self.environment = settings.environment()
        train = self.add("train", group="classification-training", memory_mb=deploy.training_memory_mb)
        score = self.add(
            "score",
            memory_mb=deploy.classification_memory_mb,
            timeout=SCORE_TIMEOUT,
            snap_start=deploy.snap_start,
        )
        watched = settings.model_copy(update={"train_function": train.function.function_name}).environment()
        watch = self.add("watch", memory_mb=deploy.classification_memory_mb, environment=watched)

        for function in (train, score, watch):
            allow_objects(function.role, data.models, read="classification/")
            allow_items(function.role, data.registry, "GetItem", leaf=self.name)
        allow_objects(train.role, data.lake, read="customers/ outcomes/ scored/")
        allow_objects(train.role, data.models, write="classification/")
        allow_items(train.role, data.registry, "PutItem", leaf=self.name)
        allow_items(train.role, data.runs, "GetItem", "PutItem", leaf=self.name)

        allow_items(score.role, data.classifications, "PutItem")
        allow_items(score.role, data.profiles, "UpdateItem")
        allow_objects(score.role, data.lake, write="scored/")
        events.dead_letters.grant_send_messages(score.role)
        events.queue.grant_send_messages(score.role)  # what waits for a first model
        events.read_by(score.target, batch=deploy.score_batch, concurrency=deploy.score_concurrency)

        allow_objects(watch.role, data.lake, read="outcomes/ scored/", write="scored/reports/")
        allow_items(watch.role, data.profiles, "GetItem")
        allow_items(watch.role, data.registry, "Query", leaf=self.name)
        allow_items(watch.role, data.runs, "GetItem", "PutItem", leaf=self.name)
        watch.role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[train.function.function_arn])
        )

        for function in (train, watch):
            # After Lambda's own two retries, an asynchronous call that failed goes to the undelivered.
            function.target.configure_async_invoke(on_failure=destinations.SqsDestination(stage.undelivered))
        self.every("Hourly", "rate(1 hour)", watch.target)
        self.every("Weekly", deploy.classification_schedule, train.target)

        self.queues = {"ClassificationQueue": events.queue, "ClassificationDeadLetters": events.dead_letters}
        self.outputs = {name: queue.queue_url for name, queue in self.queues.items()}
        latest: dict[str, Any] = {"period": FIVE_MINUTES, "statistic": "Maximum"}
        hourly: dict[str, Any] = {"period": HOUR, "statistic": "Maximum"}
        age = events.queue.metric_approximate_age_of_oldest_message(**latest)
        dead = events.dead_letters.metric_approximate_number_of_messages_visible(**latest)
        self.alarms = (
            Alarm("dead-letters", [dead]),
            Alarm("oldest-message", [age], above=900),
            Alarm("drift", self.emitted("Moved", **hourly)),
            Alarm("function-errors", [made.function.metric_errors() for made in self.functions.values()]),
            Alarm("throttles", [score.function.metric_throttles()]),
        )
        told = ("Drift", "Moved", "RealisedPrecision", "RealisedRecall", "RealisedCalibrationError")
        self.panels = {
            "freshness": [age],
            "volume": self.emitted("Scored", "Duplicates", "Poison", "Returned", period=HOUR),
            "quality": self.emitted(*told, **hourly),
            "latency": [self.took("score", "p99")],
            "errors": [dead, *self.errors()],
        }
