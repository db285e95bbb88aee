"""Alarms (ten are free, the eleventh costs ten cents a month), the topic that they reach, and the dashboard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.grants import acknowledge, resource
from infra.leaf import DAY, FIVE_MINUTES, Alarm, Leaf, Stage
from infra.prices import GB_SECOND
from infra.settings import DeploySettings

# The metrics that answer each are in the `panels` of the leaves.
QUESTIONS: Final = {
    "freshness": "Freshness: is yesterday's run there?",
    "volume": "Volume: how much came in?",
    "quality": "Quality: can the answers be trusted?",
    "latency": "Latency: how long does it take, ms?",
    "errors": "Errors: what went wrong?",
}


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
        undelivered = Alarm("undelivered", [waiting(period=FIVE_MINUTES, statistic="Maximum")])
        named = Counter[str]()  # one entry of the runbook may be alarms of several metrics, or of several leaves
        for alarm in (undelivered, *(alarm for leaf in leaves for alarm in leaf.alarms)):
            for metric in alarm.metrics:
                suffix = f"-{named[alarm.name]}" if named[alarm.name] else ""
                self._ring(alarm, metric, alarm.name + suffix, stage.deploy.timezone)
                named[alarm.name] += 1
        Dashboard(self, "Dashboard", alarms=self._alarms, leaves=leaves, deploy=stage.deploy)

    def _ring(self, alarm: Alarm, metric: cloudwatch.IMetric, id_: str, timezone: str) -> None:
        """A daily one also rings without data after a day that had some.

        A leaf that was never used has never had data, which is no change and no ring.
        """
        operator, missing = cloudwatch.ComparisonOperator, cloudwatch.TreatMissingData
        rings = cloudwatch.Alarm(
            self,
            id_,
            metric=metric,
            threshold=1 if alarm.daily else alarm.above,
            comparison_operator=operator.LESS_THAN_THRESHOLD if alarm.daily else operator.GREATER_THAN_THRESHOLD,
            treat_missing_data=missing.MISSING if alarm.daily else missing.NOT_BREACHING,
            evaluation_periods=1,
            alarm_description=f"trefoil {alarm.name}: see docs/operate.md",
        )
        rings.add_alarm_action(actions.SnsAction(self.topic))
        if alarm.daily:
            rings.add_insufficient_data_action(actions.SnsAction(self.topic))
            resource(rings, cloudwatch.CfnAlarm).evaluation_window = cloudwatch.CfnAlarm.EvaluationWindowProperty(
                wall_clock_window=cloudwatch.CfnAlarm.WallClockWindowProperty(timezone=timezone)
            )
        self._alarms.append(rings)


class Dashboard(Construct):
    """A row for each question, a column for each leaf that answers it; beyond fifty metrics it costs $3 a month."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        alarms: list[cloudwatch.Alarm],
        leaves: Sequence[Leaf],
        deploy: DeploySettings,
    ) -> None:
        super().__init__(scope, id_)
        self._board = cloudwatch.Dashboard(self, "Board", dashboard_name=f"trefoil-{deploy.stage}")
        self._board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=24, height=3))
        for name, question in QUESTIONS.items():
            self._row(question, {leaf.name: leaf.panels[name] for leaf in leaves if leaf.panels.get(name)})
        spent = {leaf.name: [_gb_seconds(leaf, entry) for entry in leaf.functions] for leaf in leaves}
        self._row(f"Cost: GB-seconds a day, at ${GB_SECOND[deploy.architecture]:.10f} each", spent, stacked=True)

    def _row(
        self, question: str, columns: Mapping[str, Sequence[cloudwatch.IMetric]], *, stacked: bool = False
    ) -> None:
        self._board.add_widgets(cloudwatch.TextWidget(markdown=f"## {question}", width=24, height=1))
        self._board.add_widgets(
            *(
                cloudwatch.GraphWidget(title=leaf, left=[*metrics], stacked=stacked, width=24 // len(columns), height=6)
                for leaf, metrics in columns.items()
            )
        )


def _gb_seconds(leaf: Leaf, entry: str) -> cloudwatch.MathExpression:
    """Of Lambda's own measure, which is what it bills, and not of ours."""
    made = leaf.functions[entry]
    spent = made.function.metric_duration(statistic="Sum", period=DAY)
    name = f"{leaf.name}_{entry}"
    return cloudwatch.MathExpression(
        expression=f"{name} * {made.memory_mb} / 1024 / 1000", using_metrics={name: spent}, label=entry, period=DAY
    )
