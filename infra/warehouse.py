"""SQL hand-off: two external tables over the lake, and a workgroup with the query that joins them."""

from typing import Any, Final

from aws_cdk import Aws, CfnCondition, CfnParameter, Fn
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3
from constructs import Construct

# Columns as functions/clustering/contracts.py writes them; a test compares the two.
RUN_COLUMNS: Final = {
    "ride_id": "string",
    "label": "int",
    "is_anomaly": "boolean",
    "severity": "double",
    "reason": "string",
    "model_version": "string",
    "run_id": "string",
}
DAY_COLUMNS: Final = {
    "run_id": "string",
    "rides": "bigint",
    "anomalies": "bigint",
    "rejected": "bigint",
    "files": "int",
    "clusters": "int",
    "eps": "double",
    "min_samples": "int",
    "silhouette": "double",
    "sampled_from": "string",
    "model_version": "string",
    "published_at": "string",
}
HIVE: Final = "org.apache.hadoop.hive.ql.io."
PARQUET: Final = {
    "input_format": f"{HIVE}parquet.MapredParquetInputFormat",
    "output_format": f"{HIVE}parquet.MapredParquetOutputFormat",
    "serde": f"{HIVE}parquet.serde.ParquetHiveSerDe",
}
JSON_LINES: Final = {
    "input_format": "org.apache.hadoop.mapred.TextInputFormat",
    "output_format": f"{HIVE}HiveIgnoreKeyTextOutputFormat",
    "serde": "org.openx.data.jsonserde.JsonSerDe",
}
# Both tables are given the day: without one Athena looks for an object of every day since the first.
FLAGGED: Final = """\
SELECT r.* FROM anomaly_runs r JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id
WHERE r.dt = '2026-01-31' AND d.dt = '2026-01-31' AND r.is_anomaly ORDER BY r.severity DESC
"""


class Warehouse(Construct):
    """Partitions are projected from `dt`, so nothing is registered at run time."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: str, lake: s3.IBucket, first_day: str, scan_limit_gb: int
    ) -> None:
        super().__init__(scope, id_)
        self.database = self.workgroup = f"trefoil_{stage}"
        self._lake, self._first_day = lake, first_day
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=self.database),
        )
        self._table("anomaly_runs", "anomalies/runs", RUN_COLUMNS, PARQUET).add_resource_dependency(database)
        self._table("anomaly_days", "anomalies/days", DAY_COLUMNS, JSON_LINES).add_resource_dependency(database)
        self._saved_query().add_resource_dependency(self._workgroup(scan_limit_gb))

    def _table(self, name: str, prefix: str, columns: dict[str, str], stored: dict[str, str]) -> glue.CfnTable:
        location = f"s3://{self._lake.bucket_name}/{prefix}/"
        return glue.CfnTable(
            self,
            name,
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                table_type="EXTERNAL_TABLE",
                partition_keys=[_column("dt", "string")],
                parameters={
                    "EXTERNAL": "TRUE",
                    "projection.enabled": "true",
                    "projection.dt.type": "date",
                    "projection.dt.format": "yyyy-MM-dd",
                    "projection.dt.range": f"{self._first_day},NOW+1DAYS",
                    "storage.location.template": f"{location}dt=${{dt}}/",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=[_column(column, type_) for column, type_ in columns.items()],
                    location=location,
                    input_format=stored["input_format"],
                    output_format=stored["output_format"],
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=stored["serde"]),
                ),
            ),
        )

    def _workgroup(self, scan_limit_gb: int) -> athena.CfnWorkGroup:
        configuration = athena.CfnWorkGroup
        return configuration(
            self,
            "Workgroup",
            name=self.workgroup,
            recursive_delete_option=True,
            work_group_configuration=configuration.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=scan_limit_gb * 10**9,
                result_configuration=configuration.ResultConfigurationProperty(
                    output_location=f"s3://{self._lake.bucket_name}/queries/",
                    encryption_configuration=configuration.EncryptionConfigurationProperty(encryption_option="SSE_S3"),
                ),
            ),
        )

    def _saved_query(self) -> athena.CfnNamedQuery:
        query: Any = athena.CfnNamedQuery(
            self,
            "Flagged",
            name="flagged rides of a day",
            database=self.database,
            work_group=self.workgroup,
            query_string=FLAGGED,
        )
        # The local cloud says no, since its CloudFormation has no named queries, and makes the query by API.
        wanted = CfnParameter(self, "SavedQuery", default="yes", allowed_values=["yes", "no"])
        wanted.override_logical_id("SavedQuery")
        query.cfn_options.condition = CfnCondition(
            self, "Saved", expression=Fn.condition_equals(wanted.value_as_string, "yes")
        )
        return query  # type: ignore[no-any-return]


def _column(name: str, type_: str) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(name=name, type=type_)
