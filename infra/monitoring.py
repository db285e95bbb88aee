"""Alarms (ten are free, the eleventh costs ten cents a month), the topic that they reach, and the dashboard."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.dashboard import Dashboard
from infra.grants import acknowledge, resource
from infra.leaf import FIVE_MINUTES, Alarm, Leaf, Stage


class Monitoring(Construct):
    """A function that fails shows twice: in its errors, and in the run, the request or the message that it failed."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, leaves: Sequence[Leaf]) -> None:
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
        waiting = stage.undelivered.metric_approximate_number_of_messages_visible
        self._alarm("undelivered", [waiting(period=FIVE_MINUTES, statistic="Maximum")])
        # Every alarm costs ten cents a month, and one entry of the runbook may be those of several leaves.
        watched: dict[str, list[Alarm]] = {}
        for alarm in (alarm for leaf in leaves for alarm in leaf.alarms):
            watched.setdefault(alarm.name, []).append(alarm)
        for name, alarms in watched.items():
            metrics = [metric for alarm in alarms for metric in alarm.metrics]
            if alarms[0].daily:
                self._daily(name, *metrics, timezone=stage.deploy.timezone)
            else:
                self._alarm(name, metrics, above=alarms[0].above)
        Dashboard(self, "Dashboard", alarms=self._alarms, leaves=leaves, deploy=stage.deploy)

    def _alarm(self, name: str, metrics: Sequence[cloudwatch.IMetric], *, above: float = 0) -> None:
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
