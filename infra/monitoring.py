"""Alarms (ten are free, the eleventh costs ten cents a month), the topic that they reach, and the dashboard."""

from typing import Any, Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.dashboard import HOUR, Dashboard
from infra.forecasting import Forecasting
from infra.grants import acknowledge, resource
from infra.leaf import Stage

FIVE_MINUTES: Final = Duration.minutes(5)


class Monitoring(Construct):
    """A function that fails shows twice: in its errors, and in the run, the request or the message that it failed."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, leaves: tuple[Clustering, Forecasting, Classification]
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
        if email := stage.deploy.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))
        self._alarms: list[cloudwatch.Alarm] = []
        clustering, forecasting, classification = leaves
        newest: dict[str, Any] = {"period": FIVE_MINUTES, "statistic": "Maximum"}
        age = classification.events.queue.metric_approximate_age_of_oldest_message(**newest)
        dead = classification.events.dead_letters.metric_approximate_number_of_messages_visible(**newest)
        self._alarm("dead-letters", dead)
        self._alarm("undelivered", stage.undelivered.metric_approximate_number_of_messages_visible(**newest))
        self._alarm("api-5xx", forecasting.http.api.metric_server_error(period=FIVE_MINUTES, statistic="Sum"))
        self._alarm("clustering-run-failed", *_unfinished(clustering.machine))
        self._alarm("forecasting-run-failed", *_unfinished(forecasting.machine))
        self._daily("day-not-published", *clustering.emitted("DaysPublished"), timezone=stage.deploy.timezone)
        self._alarm("oldest-message", age, above=900)
        self._alarm("drift", *classification.emitted("Moved", period=HOUR, statistic="Maximum"))
        # Every alarm costs ten cents a month. State machines call their functions again and ring when that was in vain,
        # and the API's failures ring as its answers.
        alone = [forecasting.functions["ingest"], *classification.functions.values()]
        self._alarm("function-errors", *(made.function.metric_errors() for made in alone))
        self._alarm("throttles", classification.functions["score"].function.metric_throttles())
        queues = {"dead letters": dead, "oldest message, s": age}
        Dashboard(self, "Dashboard", alarms=self._alarms, leaves=leaves, queues=queues)

    def _alarm(self, name: str, *metrics: cloudwatch.IMetric, above: float = 0) -> None:
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
        resource(alarm, cloudwatch.CfnAlarm).evaluation_window = cloudwatch.CfnAlarm.EvaluationWindowProperty(
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
