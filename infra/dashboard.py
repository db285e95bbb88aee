"""One dashboard, read from top to bottom: freshness, volume, quality, latency, errors, cost."""

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.classification import Classification
from infra.clustering import Clustering
from infra.forecasting import Forecasting
from infra.leaf import DAY, Leaf

HOUR: Final = Duration.hours(1)
# Dollars for a GB-second of Lambda, US East (N. Virginia), 2026-11.
GB_SECOND: Final[dict[str, float]] = {"x86_64": 0.0000166667, "arm64": 0.0000133334}


class Dashboard(Construct):
    """A row for each question, a column for each leaf; fifty metrics at most, beyond which it costs $3 a month."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        alarms: list[cloudwatch.Alarm],
        leaves: tuple[Clustering, Forecasting, Classification],
        queues: Mapping[str, cloudwatch.IMetric],
    ) -> None:
        super().__init__(scope, id_)
        clustering, forecasting, classification = leaves
        stage, api = clustering.stage.deploy, forecasting.http.api
        self._board = cloudwatch.Dashboard(self, "Board", dashboard_name=f"trefoil-{stage.stage}")
        self._board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=24, height=3))
        newest: dict[str, Any] = {"statistic": "Maximum", "period": HOUR}
        self._row(
            "Freshness: is yesterday's run there?",
            clustering=clustering.emitted("DaysPublished", "DaysEmpty"),
            forecasting=forecasting.emitted("SeriesTrained", "SeriesFailed"),
            classification=[queues["oldest message, s"]],
        )
        self._row(
            "Volume: how much came in?",
            clustering=clustering.emitted("Rides"),
            forecasting=[api.metric_count(period=HOUR)],
            classification=classification.emitted("Scored", "Duplicates", "Poison", "Returned", period=HOUR),
        )
        self._row(
            "Quality: can the answers be trusted?",
            clustering=clustering.emitted("Anomalies", "Rejected"),
            forecasting=forecasting.emitted("MeanSkill", statistic="Average"),
            classification=[
                *classification.emitted("Drift", "Moved", **newest),
                *classification.emitted("RealisedPrecision", "RealisedRecall", "RealisedCalibrationError", **newest),
            ],
        )
        self._row(
            "Latency: how long does it take, ms?",
            clustering=[_of(clustering, "label", "p99")],
            forecasting=[api.metric_latency(statistic=statistic) for statistic in ("p50", "p99")],
            classification=[_of(classification, "score", "p99")],
        )
        failed = "failed runs"
        self._row(
            "Errors: what went wrong?",
            clustering=[clustering.machine.metric_failed(period=HOUR, label=failed), *_errors(clustering)],
            forecasting=[
                forecasting.machine.metric_failed(period=HOUR, label=failed),
                api.metric_server_error(),
                *_errors(forecasting),
            ],
            classification=[queues["dead letters"], *_errors(classification)],
        )
        price = GB_SECOND[stage.architecture]
        self._row(
            f"Cost: GB-seconds a day, at ${price:.10f} each",
            **{leaf.name: [_gb_seconds(leaf, entry) for entry in leaf.functions] for leaf in leaves},
            stacked=True,
        )

    def _row(self, question: str, *, stacked: bool = False, **columns: list[Any]) -> None:
        self._board.add_widgets(cloudwatch.TextWidget(markdown=f"## {question}", width=24, height=1))
        self._board.add_widgets(
            *(
                cloudwatch.GraphWidget(title=leaf, left=metrics, stacked=stacked, width=8, height=6)
                for leaf, metrics in columns.items()
            )
        )


def _of(leaf: Leaf, entry: str, statistic: str) -> cloudwatch.Metric:
    return leaf.functions[entry].function.metric_duration(statistic=statistic, label=f"{entry} {statistic}")


def _errors(leaf: Leaf) -> list[cloudwatch.Metric]:
    return [made.function.metric_errors(label=entry, period=HOUR) for entry, made in leaf.functions.items()]


def _gb_seconds(leaf: Leaf, entry: str) -> cloudwatch.MathExpression:
    """Of Lambda's own measure, which is what it bills, and not of ours."""
    made = leaf.functions[entry]
    spent = made.function.metric_duration(statistic="Sum", period=DAY)
    name = f"{leaf.name}_{entry}"
    return cloudwatch.MathExpression(
        expression=f"{name} * {made.memory_mb} / 1024 / 1000", using_metrics={name: spent}, label=entry, period=DAY
    )
