"""EventBridge Scheduler, with the retries and the dead-letter queue of every schedule."""

from typing import Any

from aws_cdk import Duration, TimeZone
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.grants import acknowledge_versions


def schedule(
    scope: Construct,
    id_: str,
    target: sfn.IStateMachine | lambda_.IFunction,
    *,
    when: str,
    timezone: str,
    dead_letters: sqs.IQueue,
) -> None:
    """Start `target` at `when` (cron or rate expression) with `{"scheduled_at": ...}`; late by three hours at most."""
    role = iam.Role(scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
    common: dict[str, Any] = {
        "input": scheduler.ScheduleTargetInput.from_object({"scheduled_at": scheduler.ContextAttribute.scheduled_time}),
        "role": role,
        "dead_letter_queue": dead_letters,
        "retry_attempts": 10,
        "max_event_age": Duration.hours(3),
    }
    start: scheduler.IScheduleTarget
    if isinstance(target, sfn.StateMachine):
        start = targets.StepFunctionsStartExecution(target, **common)
    else:
        assert isinstance(target, lambda_.FunctionBase)  # noqa: S101 - narrows the type
        start = targets.LambdaInvoke(target, **common)
        acknowledge_versions(role, target)
    expression = scheduler.ScheduleExpression.expression(when, TimeZone.of(timezone))
    scheduler.Schedule(scope, id_, schedule=expression, target=start)
