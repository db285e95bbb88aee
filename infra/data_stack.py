"""What outlives a deployment: buckets, tables and users."""

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.grants import acknowledge, resource

SUPERSEDED = {"superseded": "true"}


class DataStack(Stack):
    """Retained on deletion: a service stack can be removed and deployed again without losing anything."""

    def __init__(self, scope: Construct, id_: str, *, superseded_days: int, scored_days: int, **stack: Any) -> None:
        super().__init__(scope, id_, **stack)
        self.lake = self._bucket("Lake")
        self.models = self._bucket("Models", versioned=True)
        self._expire_superseded(superseded_days, scored_days)
        # The property, not event_bridge_enabled: that one adds a helper function to set it after deployment.
        events = "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"
        resource(self.lake, s3.CfnBucket).add_property_override(events, True)

        self.registry = self._table("Models", "leaf", "version")
        self.runs = self._table("Runs", "job", "key")
        self.forecasts = self._table("Forecasts", "series_id", "item")
        segments = dynamodb.GlobalSecondaryIndexPropsV2(
            index_name="segment_shard", partition_key=_text("segment_shard"), sort_key=_text("observed_at")
        )
        changes = dynamodb.StreamViewType.NEW_AND_OLD_IMAGES
        self.classifications = self._table(
            "Classifications", "user_id", dynamo_stream=changes, global_secondary_indexes=[segments]
        )
        self.profiles = self._table("Profiles", "model", "bucket")

        self.users = self._user_pool()
        for name, value in {
            "LakeBucket": self.lake.bucket_name,
            "ModelsBucket": self.models.bucket_name,
            "ModelsTable": self.registry.table_name,
            "RunsTable": self.runs.table_name,
            "ForecastsTable": self.forecasts.table_name,
            "ClassificationsTable": self.classifications.table_name,
            "ProfilesTable": self.profiles.table_name,
            "UserPool": self.users.user_pool_id,
        }.items():
            CfnOutput(self, f"{name}Out", key=name, value=value)
        # Read by other applications: a leaf that is added later finds the export there, and this stack as it was.
        self.export_value(self.classifications.table_stream_arn)

    def _bucket(self, name: str, *, versioned: bool = False) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            f"{name}Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=versioned,
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            bucket,
            S1="one account's own functions read it; an account that must audit reads turns on CloudTrail data events",
        )
        return bucket

    def _expire_superseded(self, superseded_days: int, scored_days: int) -> None:
        """Runs by tag only, never by age: what a manifest names is never tagged. What is read once may go by age."""
        for bucket in (self.lake, self.models):
            bucket.add_lifecycle_rule(
                id="superseded", tag_filters=SUPERSEDED, expiration=Duration.days(superseded_days)
            )
            bucket.add_lifecycle_rule(id="parts", abort_incomplete_multipart_upload_after=Duration.days(1))
        self.lake.add_lifecycle_rule(id="scored", prefix="scored/", expiration=Duration.days(scored_days))
        self.lake.add_lifecycle_rule(id="plans", prefix="plans/forecasting/", expiration=Duration.days(superseded_days))
        # Copies of verdicts, with names and notes, that the console once kept: nobody reads them any more.
        self.lake.add_lifecycle_rule(id="digests", prefix="console/verdicts/", expiration=Duration.days(1))
        self.lake.add_lifecycle_rule(id="queries", prefix="queries/", expiration=Duration.days(7))
        # A model a day, which nobody needs after its run; the champions of the other leaves are pruned by a person.
        self.models.add_lifecycle_rule(id="runs", prefix="clustering/", expiration=Duration.days(superseded_days))
        old = Duration.days(superseded_days)
        # What expired leaves a marker behind, which goes when it is the last that is left of an object.
        self.models.add_lifecycle_rule(id="old", noncurrent_version_expiration=old, expired_object_delete_marker=True)

    def _table(self, name: str, partition_key: str, sort_key: str = "", **more: Any) -> dynamodb.TableV2:
        """A table whose keys are texts; `more` as `TableV2` takes it."""
        recovery = dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
        return dynamodb.TableV2(
            self,
            f"{name}Table",
            partition_key=_text(partition_key),
            sort_key=_text(sort_key) if sort_key else None,
            point_in_time_recovery_specification=recovery,
            time_to_live_attribute="expires_at",
            removal_policy=RemovalPolicy.RETAIN,
            **more,
        )

    def _user_pool(self) -> cognito.UserPool:
        pool = cognito.UserPool(
            self,
            "Users",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(username=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_uppercase=True, require_symbols=True
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            account_recovery=cognito.AccountRecovery.NONE,
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            pool,
            COG2="each user may add an authenticator app on the page, which from then on asks for its code",
            COG3="threat protection needs the Plus plan, priced per user, while this pool has no open sign-up",
            COG8="the Plus plan is priced per user and guards open sign-up, which this pool does not have",
        )
        return pool


def _text(attribute: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=attribute, type=dynamodb.AttributeType.STRING)
