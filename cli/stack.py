"""A deployed stack as commands see it: the local cloud when it runs, or AWS by profile and stage."""

import io
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from cli.console import Json, err, wants_json
from infra.local import cloud as local
from infra.settings import LEAVES
from layers.runtime.errors import InputError, UnavailableError
from layers.storage.aws import CONFIG
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

if TYPE_CHECKING:
    import pyarrow as pa

PATIENT = Config(read_timeout=910, retries={"total_max_attempts": 1}, tcp_keepalive=True)

Stage = Annotated[str | None, typer.Option(help="Stage on AWS; without it and a profile, the local cloud.")]
Profile = Annotated[str | None, typer.Option(help="AWS profile, of stage dev unless --stage names another.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it on AWS without asking.")]
# Stage and profile, as the command that runs was given them.
named: ContextVar[tuple[str | None, str | None]] = ContextVar("named", default=(None, None))

# Jobs of the ledger, with what another run of each needs.
JOBS: Final = {job: again for leaf in LEAVES.values() for job, again in leaf.jobs.items()}
TRAINED: Final = [name for name, leaf in LEAVES.items() if leaf.champion]

T = TypeVar("T")


def leaf_name(name: str) -> str:
    """Raises BadParameter for what is no leaf."""
    return _one_of(list(LEAVES), name)


def trained_name(name: str) -> str:
    """Raises BadParameter for what is no leaf with a training of its own."""
    return _one_of(TRAINED, name)


def _one_of(names: list[str], name: str) -> str:
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, names))}.")
    return name


@dataclass(frozen=True)
class Stack:
    """Outputs of the two stacks, and clients for the account they stand in."""

    stage: str
    session: boto3.Session
    endpoint: str | None
    outputs: dict[str, str]
    cloud: local.Cloud | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client, made once."""
        if service not in self._clients:
            session: Any = self.session
            # A function may run for 15 minutes, and calling it again because of an impatient client helps nobody.
            config = CONFIG.merge(PATIENT) if service == "lambda" else CONFIG
            self._clients[service] = session.client(service, endpoint_url=self.endpoint, config=config)
        return self._clients[service]

    def listed(self, service: str, operation: str, path: str, **arguments: Any) -> list[Any]:
        """What the pages of an operation hold at a JMESPath."""
        pages = self.client(service).get_paginator(operation).paginate(**arguments)
        return [one for one in pages.search(path) if one is not None]

    @property
    def lake(self) -> S3Objects:
        return S3Objects(self.outputs["LakeBucket"], self.client("s3"))

    @property
    def models(self) -> S3Objects:
        return S3Objects(self.outputs["ModelsBucket"], self.client("s3"))

    def put_table(self, key: str, table: "pa.Table") -> None:
        """Write Arrow rows into the lake as Parquet."""
        import pyarrow.parquet

        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink)
        self.lake.put(key, sink.getvalue())

    def table(self, name: str) -> DynamoTable:
        """`Models`, `Runs`, `Forecasts`, `Classifications` or `Profiles`."""
        return DynamoTable(self.outputs[f"{name}Table"], self.client("dynamodb"))

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.models, self.table("Models"))

    @property
    def ledger(self) -> RunLedger:
        return RunLedger(self.table("Runs"))

    def target(self) -> str:
        """Where this is, in words: the local cloud with its address, or account, region and stage."""
        if self.cloud:
            return f"local cloud at {self.endpoint}"
        client = self.client("sts")
        return f"account {client.get_caller_identity()['Account']}, {client.meta.region_name}, stage {self.stage}"

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Call a function, named by its output, and wait for its answer. Raises UnavailableError when it fails."""
        answer = self.client("lambda").invoke(FunctionName=self.outputs[function], Payload=json.dumps(event))
        body = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            raise UnavailableError(f"{function} failed: {body.get('errorMessage', body)}")
        return body

    def variables(self, function: str) -> dict[str, str]:
        """Environment of a function, named by its output."""
        answer = self.client("lambda").get_function_configuration(FunctionName=self.outputs[function])
        return dict(answer.get("Environment", {}).get("Variables", {}))

    def token(self, username: str, password: str) -> str:
        """Access token of a user of the pool."""
        answer = self.client("cognito-idp").initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH",
            ClientId=self.outputs["UserPoolClient"],
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
        return str(answer["AuthenticationResult"]["AccessToken"])

    def request(
        self, path: str, *, token: str | None = None, body: Any = None, method: str | None = None, timeout: float = 29
    ) -> tuple[int, dict[str, str], bytes]:
        """Call the HTTP API, by default with GET, or POST of a body: status, headers by lower-case name, body."""
        url = urllib.parse.urlsplit(self.outputs["ApiUrl"])
        # Not every resolver knows <api>.execute-api.localhost, so the connection goes to the emulator's own address.
        base = self.endpoint or f"{url.scheme}://{url.netloc}"
        headers = {"Host": url.netloc} | ({"Authorization": f"Bearer {token}"} if token else {})
        headers |= {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        answer: Any
        try:
            request = urllib.request.Request(base + path, data, headers, method=method)
            answer = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as exc:
            answer = exc
        with answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()


def _choose(*, stage: Stage = None, profile: Profile = None, json_output: Json = False) -> None:
    named.set((stage, profile))


def on_stack(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the options of every command on a stack, which say what `connect` and `change` mean in it."""
    own, shared = signature(command), signature(_choose).parameters

    @wraps(command)
    def run(**given: Any) -> Any:
        _choose(**{name: given.pop(name) for name in shared})
        return command(**given)

    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *shared.values()])  # type: ignore[attr-defined]
    run.__annotations__ = command.__annotations__ | {name: option.annotation for name, option in shared.items()}
    return run


def connect(*, deployed: bool = True) -> Stack:
    """The local cloud where neither stage nor profile is named, else that stage on AWS; no outputs if not `deployed`.

    Never one in place of the other. Raises InputError when no local cloud runs, NotFoundError when the stage is not
    deployed there, UnavailableError without valid credentials or network.
    """
    stage, profile = named.get()
    if stage is None and profile is None:
        running = local.find()
        if running is None:
            raise InputError("no local cloud runs: `trefoil up` starts one; --stage and --profile name one on AWS")
        return local_stack(running, deployed=deployed)
    stage = stage or "dev"
    try:
        session = boto3.Session(profile_name=profile)
        client: Any = session.client("cloudformation", config=CONFIG)
        return Stack(stage, session, None, local.outputs(client, stage) if deployed else {})
    except ProfileNotFound as exc:
        raise InputError(str(exc), field="--profile") from exc
    except (BotoCoreError, ClientError) as exc:
        raise UnavailableError(f"AWS cannot be used: {exc}") from exc


def change(what: str, *, yes: bool = True, deployed: bool = True) -> Stack:
    """The stack that a command is about to change, after stderr said which it is; on AWS it asks unless `yes`.

    Raises InputError when the answer is no, or when nobody can be asked.
    """
    stack = connect(deployed=deployed)
    target = stack.target()
    err.print(f"{what}: {target}", markup=False, highlight=False, soft_wrap=True)
    if not yes and stack.cloud is None:
        asked = sys.stdin.isatty() and not wants_json() and typer.confirm("Go on?", err=True)
        if not asked:
            raise InputError(f"nothing was done to {target}; --yes does it without asking", field="--yes")
    return stack


def local_stack(cloud: local.Cloud, *, deployed: bool = True) -> Stack:
    """The stack on a local cloud."""
    outputs = local.outputs(cloud.client("cloudformation"), cloud.stage) if deployed else {}
    return Stack(cloud.stage, cloud.session(), cloud.endpoint, outputs, cloud)


def start(stack: Stack, machine: str, event: dict[str, Any]) -> str:
    """Start the state machine named by its output; returns the execution's ARN."""
    machines, arn = stack.client("stepfunctions"), stack.outputs[machine]
    return str(machines.start_execution(stateMachineArn=arn, input=json.dumps(event))["executionArn"])


def finished(stack: Stack, execution: str, patience: float = 3600.0) -> dict[str, Any]:
    """Output of the execution once it has succeeded. Raises UnavailableError when it fails or takes too long, s."""

    def output() -> dict[str, Any] | None:
        answer = stack.client("stepfunctions").describe_execution(executionArn=execution)
        if answer["status"] not in ("SUCCEEDED", "RUNNING"):
            raise UnavailableError(f"{execution} {answer['status']}: {answer.get('error')}: {answer.get('cause')}")
        return dict(json.loads(answer["output"])) if answer["status"] == "SUCCEEDED" else None

    return wait(output, f"{execution} to end", patience)


def query(stack: Stack, sql: str) -> list[list[str]]:
    """Rows that the stack's workgroup answers, as texts. Raises UnavailableError when it fails or takes a minute."""
    athena, database = stack.client("athena"), {"Database": stack.outputs["Database"]}
    group = stack.outputs["Workgroup"]
    started = athena.start_query_execution(QueryString=sql, WorkGroup=group, QueryExecutionContext=database)
    execution = {"QueryExecutionId": started["QueryExecutionId"]}

    def ended() -> dict[str, Any] | None:
        status = athena.get_query_execution(**execution)["QueryExecution"]["Status"]
        return dict(status) if status["State"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None

    status = wait(ended, "Athena", 60)
    if status["State"] != "SUCCEEDED":
        raise UnavailableError(f"Athena {status['State']}: {status.get('StateChangeReason')}")
    _, *rows = athena.get_query_results(**execution)["ResultSet"]["Rows"]
    return [[cell.get("VarCharValue", "") for cell in row["Data"]] for row in rows]


def wait(answer: Callable[[], T | None], what: str, patience: float) -> T:
    """The first of `answer`'s values that is one, asked for again and again. Raises UnavailableError after that, s."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := answer():
            return value
        time.sleep(0.3)
    raise UnavailableError(f"waited {patience:.0f} s for {what}; `trefoil logs` shows what the functions said")
