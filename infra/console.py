"""The console: what the leaves publish, for people, behind the API that the forecasts have."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw
from constructs import Construct

from infra.grants import allow_objects
from infra.http_api import READING, HttpApi
from infra.leaf import Leaf, Panels, Stage

PATHS: Final = {
    "/v1/days": READING,
    "/v1/days/{proxy+}": (*READING, apigw.HttpMethod.PUT),
}


class Console(Leaf):
    """api, which reads what others publish and writes verdicts."""

    name = "console"

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, http: HttpApi) -> None:
        super().__init__(scope, id_, stage=stage)
        lake = stage.data.lake
        api = self.add(
            "api",
            memory_mb=stage.deploy.console_memory_mb,
            environment=stage.settings(self.name).environment(),
            timeout=Duration.seconds(29),
        )
        for prefix in ("anomalies/days/", "anomalies/reports/"):
            allow_objects(api.role, lake, prefix, "read")
        allow_objects(api.role, lake, "verdicts/", "read", "write")
        http.serve("Console", api.target, guarded=PATHS, public=["/console/{proxy+}"])

        self.outputs = {}
        # The gateway's calls, latency and 5xx are those of both functions behind it, and so is the alarm on these.
        self.alarms = ()
        self.panels = Panels(freshness=[], volume=[], quality=[], latency=[], errors=[])
