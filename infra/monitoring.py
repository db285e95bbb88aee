"""Alarms (ten are free, the eleventh costs ten cents a month), the topic that they reach, and the dashboard."""

from typing import Any, Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.dashboard import HOUR, Dashboard, Own
from infra.forecasting import Forecasting
from infra.grants import acknowledge

FIVE_MINUTES: Final = Duration.minutes(5)


class Monitoring(Construct):
    """A function that fails shows twice: in its errors, and in the run, the request or the message that it failed."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: str,
        email: str,
        clustering: Clustering,
        forecasting: Forecasting,
        classification: Classification,
        undelivered: sqs.IQueue,
    ) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        # A topic with a policy of its own loses the default one, which lets the account's alarms publish.
        same_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        self.topic.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com", conditions=same_account))
        acknowledge(
            self.topic,
            SNS2="a message holds an alarm's name and state; a key that alarms may use costs $1 a month",
        )
        if email:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))
        own = Own(stage)
        self._alarms: list[cloudwatch.Alarm] = []
        letters = classification.events.dead_letters
        visible: dict[str, Any] = {"period": FIVE_MINUTES, "statistic": "Maximum"}
        age = classification.events.queue.metric_approximate_age_of_oldest_message(**visible)
        dead = letters.metric_approximate_number_of_messages_visible(**visible)
        lost = undelivered.metric_approximate_number_of_messages_visible(**visible)
        broken = forecasting.http.api.metric_server_error(period=FIVE_MINUTES, statistic="Sum")
        self._alarm("dead-letters", dead, above=0)
        self._alarm("undelivered", lost, above=0)
        self._alarm("api-5xx", broken, above=0)
        self._alarm("clustering-run-failed", clustering.machine.metric_failed(period=HOUR), above=0)
        self._alarm("forecasting-run-failed", forecasting.machine.metric_failed(period=HOUR), above=0)
        self._alarm("day-not-published", *own("clustering", "DaysPublished"), below=1)
        self._alarm("oldest-message", age, above=900)
        moved, unreconciled = own("classification", "Moved", "Unreconciled", period=HOUR, statistic="Maximum")
        self._alarm("drift", moved, above=0)
        self._alarm("unreconciled", unreconciled, above=0)
        # Of all functions of the account, which share its concurrency; the dashboard tells errors apart.
        for name, metric in (("function-errors", "Errors"), ("throttles", "Throttles")):
            self._alarm(name, cloudwatch.Metric(namespace="AWS/Lambda", metric_name=metric, statistic="Sum"), above=0)
        Dashboard(
            self,
            "Dashboard",
            own=own,
            name=f"trefoil-{stage}",
            alarms=self._alarms,
            leaves=(clustering, forecasting, classification),
            queues={"dead letters": dead, "oldest message, s": age},
        )

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, *, above: float | None = None, below: float | None = None
    ) -> None:
        compare, missing = cloudwatch.ComparisonOperator, cloudwatch.TreatMissingData
        over = above is not None
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=above if above is not None else below or 0,
            evaluation_periods=1,
            comparison_operator=compare.GREATER_THAN_THRESHOLD if over else compare.LESS_THAN_THRESHOLD,
            treat_missing_data=missing.NOT_BREACHING if over else missing.BREACHING,
            alarm_description=f"trefoil {name}: see the runbook entry of this name in the README",
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)
