"""The console: the page, and what the leaves publish, for people, behind the API that the forecasts have."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aws_cdk import Annotations, ArnFormat, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.console.settings import CONSOLE
from infra.grants import acknowledge_wildcard, allow_items, allow_objects
from infra.http_api import READING, HttpApi
from infra.image_function import ROOT
from infra.leaf import Leaf, Stage
from infra.prices import GB_SECOND
from infra.settings import LEAVES

PAGE: Final = ROOT / "functions/console/page"
OPEN: Final = ("/", "/static/{proxy+}", "/console/{proxy+}")
PATHS: Final = {
    "/v1/days": READING,
    "/v1/days/{proxy+}": (*READING, apigw.HttpMethod.PUT),
    "/v1/segments": READING,
    "/v1/segments/people": (*READING, apigw.HttpMethod.POST),
    "/v1/operation": READING,
}


class Console(Leaf):
    """api, which has the page, reads what others publish and writes verdicts.

    The gateway's calls, latency and 5xx are those of both functions behind it, and so is the alarm on these.
    """

    name = "console"

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, http: HttpApi, queues: Mapping[str, sqs.IQueue]
    ) -> None:
        """`queues` by the name under which they are told."""
        super().__init__(scope, id_, stage=stage)
        if not bundled(PAGE):
            Annotations.of(self).add_error(f"the page's bundle is missing or older than {PAGE}: run `make setup`")
        data, leaves = stage.data, LEAVES.values()
        self.environment = stage.settings(
            CONSOLE,
            classifications_table=data.classifications.table_name,
            user_pool_client=http.client.user_pool_client_id,
            user_pool_endpoint=stage.deploy.user_pool_endpoint,
            jobs=",".join(job for leaf in leaves for job in leaf.jobs),
            keyed=",".join(job for leaf in leaves for job in sorted(leaf.keyed)),
            trained=",".join(leaf.name for leaf in leaves if leaf.champion),
            gb_second=GB_SECOND[stage.deploy.architecture],
            queues=",".join(f"{name}={queue.queue_url}" for name, queue in queues.items()),
        ).environment()
        api = self.add("api", memory_mb=stage.deploy.console_memory_mb, timeout=Duration.seconds(29))
        published = "anomalies/days/ anomalies/reports/ scored/reports/ verdicts/"
        allow_objects(api.role, data.lake, read=published, write="verdicts/")
        allow_items(api.role, data.registry, "GetItem")
        allow_items(api.role, data.runs, "Query")
        allow_items(api.role, data.classifications, "GetItem")
        counted = [queue.queue_arn for queue in queues.values()]
        api.role.add_to_policy(iam.PolicyStatement(actions=["sqs:GetQueueAttributes"], resources=counted))
        alarms = Stack.of(self).format_arn(
            service="cloudwatch", resource="alarm", resource_name="*", arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        api.role.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=[alarms]))
        arn = "arn:<AWS::Partition>:cloudwatch:<AWS::Region>:<AWS::AccountId>:alarm:*"
        acknowledge_wildcard(api.role, f"Resource::{arn}", "DescribeAlarms lists the account's alarms or none")
        http.serve("Console", api.target, guarded=PATHS, public=OPEN)

        self.outputs = {"UserPoolClient": http.client.user_pool_client_id}


def bundled(page: Path) -> bool:
    """Whether the bundle of the page is there and as new as its sources."""
    index = page / "built" / "index.html"
    newest = max(file.stat().st_mtime for file in page.iterdir() if file.is_file())
    return index.exists() and index.stat().st_mtime >= newest
