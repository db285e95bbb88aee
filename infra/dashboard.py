"""One dashboard, read from top to bottom: freshness, volume, quality, latency, errors, cost."""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.leaf import DAY, Leaf
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
