"""plan -> distributed map over what it planned -> publish: the state machine of every batch job."""

from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.grants import acknowledge_versions, acknowledge_wildcard, allow_objects, logical_id
from infra.image_function import ImageFunction
from infra.leaf import HOUR, Leaf
from layers.runtime.errors import CorruptError, InputError, UnavailableError, family

# What a second try cannot mend.
FINAL: Final = [error.__name__ for kind in (InputError, CorruptError) for error in family(kind)]
# Nothing ran, or a service asked to slow down. A function that slept for weeks takes up to 106 s to wake.
SOON: Final = [
    *(
        f"Lambda.{name}"
        for name in (
            "TooManyRequestsException", "CodeArtifactUserPendingException", "ResourceNotReadyException",
            "ServiceException", "AWSLambdaException", "SdkClientException", "ClientExecutionTimeoutException",
        )
    ),
    UnavailableError.__name__,
]  # fmt: skip


class PlannedMap(Construct):
    """`plan` writes a JSON array to the lake, `work` is called once for each element, `publish` ends the run.

    When something fails after its retries, `publish` is told (it records the failed run) and the execution fails. Of
    the work it is told the element with its error, because the map keeps neither.
    """

    def __init__(
        self, leaf: Leaf, id_: str, *, plan: ImageFunction, work: ImageFunction, publish: ImageFunction
    ) -> None:
        super().__init__(leaf, id_)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        worked = sfn.DistributedMap(
            self,
            "Map",
            item_reader=sfn.S3JsonItemReader(
                bucket_name_path=sfn.JsonPath.string_at("$.plan_bucket"), key=sfn.JsonPath.string_at("$.plan_key")
            ),
            max_concurrency=leaf.stage.deploy.map_concurrency,
            map_execution_type=sfn.StateMachineType.STANDARD,
            result_path=sfn.JsonPath.DISCARD,
        )
        recorded, work_recorded = (self._failure(what, publish) for what in ("failure", "failed work"))
        worked.item_processor(self._call("Work", work).add_catch(work_recorded, result_path="$.error"))
        worked.add_catch(recorded, result_path="$.error")
        worked.next(self._call("Publish", publish).add_catch(recorded, result_path="$.error"))

        # A retried plan is told from a second trigger by the name of its execution.
        name = sfn.Pass(self, "Name", input_path="$$.Execution.Name", result_path="$.execution")
        choice = sfn.Choice(self, "Planned?")
        choice.when(sfn.Condition.string_equals("$.status", "planned"), worked)
        choice.otherwise(sfn.Succeed(self, "Nothing to do"))

        retention = leaf.stage.log_retention
        log_group = logs.LogGroup(self, "Log", retention=retention, removal_policy=RemovalPolicy.DESTROY)
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_chainable(name.next(self._call("Plan", plan)).next(choice)),
            timeout=Duration.hours(6),
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL),
            tracing_enabled=True,
            role=self.role,
        )
        allow_objects(self.role, leaf.stage.data.lake, read=f"plans/{leaf.name}/")
        acknowledge_versions(self, plan.target, work.target, publish.target)
        acknowledge_wildcard(self, "Resource::*", "log delivery and tracing take no resource")
        own = f'{{"Fn::Select":[6,{{"Fn::Split":[":",{{"Ref":"{logical_id(self.machine)}"}}]}}]}}'
        executions = f"Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:{own}"
        for finding in (f"{executions}:*", f"{executions}/*:*"):
            acknowledge_wildcard(self, finding, "the map starts and watches executions of its own machine only")

    def unfinished(self) -> list[cloudwatch.Metric]:
        """Runs that failed, and those that ran out of time or were stopped, which do not count as failed."""
        machine = self.machine
        counts = (machine.metric_failed, machine.metric_timed_out, machine.metric_aborted)
        return [count(period=HOUR) for count in counts]

    def _call(self, name: str, function: ImageFunction, *, result_path: str | None = None) -> tasks.LambdaInvoke:
        task = tasks.LambdaInvoke(
            self,
            name,
            lambda_function=function.target,
            payload_response_only=True,
            retry_on_service_exceptions=False,
            result_path=result_path,
        )
        jitter: dict[str, Any] = {"interval": Duration.seconds(5), "jitter_strategy": sfn.JitterType.FULL}
        task.add_retry(errors=FINAL, max_attempts=0)
        task.add_retry(errors=SOON, max_attempts=15, backoff_rate=2, max_delay=Duration.minutes(2), **jitter)
        task.add_retry(errors=["States.ALL"], max_attempts=2, backoff_rate=3, **jitter)
        return task

    def _failure(self, what: str, publish: ImageFunction) -> tasks.LambdaInvoke:
        """Tell `publish` of `$.error`, and fail with it whether or not it could be told."""
        failed = sfn.Fail(self, what.capitalize(), error_path="$.error.Error", cause_path="$.error.Cause")
        recorded = self._call(f"Record {what}", publish, result_path=sfn.JsonPath.DISCARD)
        recorded.next(failed)
        recorded.add_catch(failed, result_path="$.unrecorded")
        return recorded
