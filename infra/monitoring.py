"""Ten alarms at most (they are free up to ten), one topic, one dashboard."""

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
from infra.forecasting import Forecasting
from infra.grants import acknowledge

DAY: Final = Duration.days(1)
HOUR: Final = Duration.hours(1)
FIVE_MINUTES: Final = Duration.minutes(5)
NAMESPACE: Final = "Trefoil"


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
        self._stage = stage
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
        self._alarm("day-not-published", self._own("DaysPublished", "clustering", period=DAY), below=1)
        self._alarm("oldest-message", age, above=900)
        self._alarm("drift", self._own("Drift", "classification", period=HOUR, statistic="Maximum"), above=0.25)
        # Of all functions of the account, which share its concurrency; the dashboard tells errors apart.
        for name, metric in (("function-errors", "Errors"), ("throttles", "Throttles")):
            self._alarm(name, cloudwatch.Metric(namespace="AWS/Lambda", metric_name=metric, statistic="Sum"), above=0)
        self._dashboard(clustering, forecasting, classification, {"dead letters": dead, "oldest message, s": age})

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

    def _own(
        self, name: str, leaf: str, *, period: Duration = FIVE_MINUTES, statistic: str = "Sum"
    ) -> cloudwatch.Metric:
        dimensions = {"stage": self._stage, "service": leaf}
        return cloudwatch.Metric(
            namespace=NAMESPACE, metric_name=name, dimensions_map=dimensions, period=period, statistic=statistic
        )

    def _dashboard(
        self,
        clustering: Clustering,
        forecasting: Forecasting,
        classification: Classification,
        queue: dict[str, cloudwatch.IMetric],
    ) -> None:
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"trefoil-{self._stage}")
        api = forecasting.http.api
        board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=self._alarms, width=24, height=3))
        board.add_widgets(
            _graph(
                "Clustering: rides of a day",
                [self._own(name, "clustering", period=DAY) for name in ("Rides", "Anomalies", "Rejected")],
            ),
            _graph("Forecasting: requests", [api.metric_count(), api.metric_client_error(), api.metric_server_error()]),
            _graph(
                "Classification: events",
                [self._own(name, "classification") for name in ("Scored", "Duplicates", "Poison")],
            ),
        )
        board.add_widgets(
            _graph(
                "Runs",
                [
                    clustering.machine.metric_succeeded(),
                    clustering.machine.metric_failed(),
                    forecasting.machine.metric_failed(),
                ],
            ),
            _graph("API latency, ms", [api.metric_latency(statistic=s) for s in ("p50", "p99")]),
            _graph("Queue", list(queue.values())),
        )
        everything = [f.function for leaf in (clustering, forecasting, classification) for f in leaf.functions.values()]
        board.add_widgets(
            _graph("Errors", [f.metric_errors() for f in everything]),
            _graph("Duration, ms", [f.metric_duration() for f in everything]),
            _graph("Drift (PSI)", [self._own("Drift", "classification", period=HOUR, statistic="Maximum")]),
        )


def _graph(title: str, metrics: list[Any]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=metrics, width=8, height=6)
