"""Alarms (ten are free, the eleventh costs ten cents a month), the topic that they reach, and the dashboard."""

from typing import Any, Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
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
        self._alarm("clustering-run-failed", *_unfinished(clustering.machine), above=0)
        self._alarm("forecasting-run-failed", *_unfinished(forecasting.machine), above=0)
        self._daily("day-not-published", *own("clustering", "DaysPublished"), timezone=clustering.stage.deploy.timezone)
        self._alarm("oldest-message", age, above=900)
        self._alarm("drift", *own("classification", "Moved", period=HOUR, statistic="Maximum"), above=0)
        # Every alarm costs ten cents a month. State machines call their functions again and ring when that was in vain,
        # and the API's failures ring as its answers.
        score = classification.functions["score"].function
        alone = [forecasting.functions["ingest"], *classification.functions.values()]
        self._alarm("function-errors", *(made.function.metric_errors() for made in alone), above=0)
        self._alarm("throttles", score.metric_throttles(), above=0)
        Dashboard(
            self,
            "Dashboard",
            own=own,
            name=f"trefoil-{stage}",
            alarms=self._alarms,
            leaves=(clustering, forecasting, classification),
            queues={"dead letters": dead, "oldest message, s": age},
        )

    def _alarm(self, name: str, *metrics: cloudwatch.IMetric, above: float) -> None:
        """Rings when one of `metrics` is above a value; each has an alarm, and all one entry in the runbook."""
        for i, metric in enumerate(metrics):
            self._ring(
                name,
                metric,
                f"-{i}" * bool(i),
                threshold=above,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )

    def _daily(self, name: str, metric: cloudwatch.IMetric, *, timezone: str) -> None:
        """Rings when a calendar day of the zone ends with none, or without data after a day that had some.

        A leaf that was never used has never had data, which is no change and no ring.
        """
        alarm = self._ring(
            name,
            metric,
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        )
        alarm.add_insufficient_data_action(actions.SnsAction(self.topic))
        made = alarm.node.default_child
        assert isinstance(made, cloudwatch.CfnAlarm)  # noqa: S101 - narrows the type
        made.evaluation_window = cloudwatch.CfnAlarm.EvaluationWindowProperty(
            wall_clock_window=cloudwatch.CfnAlarm.WallClockWindowProperty(timezone=timezone)
        )

    def _ring(self, name: str, metric: cloudwatch.IMetric, suffix: str = "", **when: Any) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name + suffix,
            metric=metric,
            evaluation_periods=1,
            alarm_description=f"trefoil {name}: see docs/operate.md",
            **when,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)
        return alarm


def _unfinished(machine: sfn.StateMachine) -> list[cloudwatch.Metric]:
    """Runs that failed, and those that ran out of time or were stopped, which do not count as failed."""
    return [count(period=HOUR) for count in (machine.metric_failed, machine.metric_timed_out, machine.metric_aborted)]
