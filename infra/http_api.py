"""HTTP API in front of functions: tokens of the user pool for /v1, the page open."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.grants import acknowledge, resource
from infra.leaf import Stage

READING: Final = (apigw.HttpMethod.GET, apigw.HttpMethod.HEAD)
LOGGED: Final = (
    "requestId requestTime httpMethod path routeKey status responseLatency integrationErrorMessage authorizer.error"
)


class HttpApi(Construct):
    """`$default` stage with throttling and an access log; API Gateway itself gives up after 29 s."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, function: lambda_.IFunction) -> None:
        super().__init__(scope, id_)
        self.api = apigw.HttpApi(self, "Api", create_default_stage=False, description="Trefoil forecasts and console")
        log_group = logs.LogGroup(
            self, "AccessLog", retention=stage.log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        default = apigw.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigw.ThrottleSettings(rate_limit=stage.deploy.api_rate, burst_limit=stage.deploy.api_burst),
        )
        resource(default, apigw.CfnStage).access_log_settings = apigw.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group.log_group_arn,
            format=json.dumps({name: f"$context.{name}" for name in LOGGED.split()}),
        )
        self.client = cognito.UserPoolClient(
            self,
            "Client",
            user_pool=stage.data.users,
            auth_flows=cognito.AuthFlow(user_password=True),
            disable_o_auth=True,
            generate_secret=False,
            access_token_validity=Duration.hours(1),
            prevent_user_existence_errors=True,
        )
        self._tokens = authorizers.HttpUserPoolAuthorizer("Tokens", stage.data.users, user_pool_clients=[self.client])
        methods = {"/v1/{proxy+}": (*READING, apigw.HttpMethod.POST, apigw.HttpMethod.PUT)}
        self.serve("Function", function, guarded=methods, public=("/healthz", "/openapi.json"))

    def serve(
        self,
        id_: str,
        function: lambda_.IFunction,
        *,
        guarded: Mapping[str, Sequence[apigw.HttpMethod]],
        public: Sequence[str],
    ) -> None:
        """Send calls of `guarded` paths, by these methods and with a token, and of `public` ones to `function`."""
        integration = integrations.HttpLambdaIntegration(id_, function, timeout=Duration.seconds(29))
        for path, methods in guarded.items():
            self.api.add_routes(path=path, methods=[*methods], integration=integration, authorizer=self._tokens)
        for path in public:
            for route in self.api.add_routes(path=path, methods=[*READING], integration=integration):
                acknowledge(route, APIG4="the sign-in page and its files hold no data; /v1 asks for a token")
