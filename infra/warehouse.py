"""SQL hand-off: three external tables over the lake, and a workgroup with the query that joins them."""

from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.leaf import Stage

# Columns as functions/clustering/contracts.py and functions/console/contracts.py write them; a test compares them.
RUN_COLUMNS: Final = (
    "ride_id string, label int, is_anomaly boolean, severity double, reason string, model_version string, run_id string"
)
DAY_COLUMNS: Final = (
    "run_id string, rides bigint, anomalies bigint, rejected bigint, files int, clusters int, eps double, "
    "min_samples int, silhouette double, sampled_from string, model_version string, published_at string"
)
VERDICT_COLUMNS: Final = (
    "ride_id string, run_id string, verdict string, note string, by string, at string, severity double, kind string"
)
# Input format, output format and reader of rows, as Hive calls them.
HIVE: Final = "org.apache.hadoop.hive.ql.io."
PARQUET: Final = (
    f"{HIVE}parquet.MapredParquetInputFormat",
    f"{HIVE}parquet.MapredParquetOutputFormat",
    f"{HIVE}parquet.serde.ParquetHiveSerDe",
)
JSON_LINES: Final = (
    "org.apache.hadoop.mapred.TextInputFormat",
    f"{HIVE}HiveIgnoreKeyTextOutputFormat",
    "org.openx.data.jsonserde.JsonSerDe",
)
# Each table is given the day: without one Athena looks for an object of every day since the first.
FLAGGED: Final = """\
SELECT r.* FROM anomaly_runs r JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id
WHERE r.dt = '2026-01-31' AND d.dt = '2026-01-31' AND r.is_anomaly ORDER BY r.severity DESC
"""


class Warehouse(Construct):
    """Partitions are projected from `dt`, so nothing is registered at run time."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.database = self.workgroup = f"trefoil_{stage.deploy.stage}"
        self._lake, self._first_day = stage.data.lake.bucket_name, stage.deploy.first_day
        database = glue.CfnDatabase(self, "Database", catalog_id=Aws.ACCOUNT_ID, database_input={"name": self.database})
        self._table("anomaly_runs", "anomalies/runs", RUN_COLUMNS, PARQUET).add_resource_dependency(database)
        self._table("anomaly_days", "anomalies/days", DAY_COLUMNS, JSON_LINES).add_resource_dependency(database)
        self._table("anomaly_verdicts", "verdicts", VERDICT_COLUMNS, JSON_LINES).add_resource_dependency(database)
        group = athena.CfnWorkGroup
        workgroup = group(
            self,
            "Workgroup",
            name=self.workgroup,
            recursive_delete_option=True,
            work_group_configuration=group.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=stage.deploy.scan_limit_gb * 10**9,
                result_configuration=group.ResultConfigurationProperty(
                    output_location=f"s3://{self._lake}/queries/",
                    encryption_configuration=group.EncryptionConfigurationProperty(encryption_option="SSE_S3"),
                ),
            ),
        )
        saved = athena.CfnNamedQuery(
            self,
            "Flagged",
            name="flagged rides of a day",
            database=self.database,
            work_group=self.workgroup,
            query_string=FLAGGED,
        )
        saved.add_resource_dependency(workgroup)

    def _table(self, name: str, prefix: str, columns: str, stored: tuple[str, str, str]) -> glue.CfnTable:
        location, table = f"s3://{self._lake}/{prefix}/", glue.CfnTable
        return table(
            self,
            name,
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database,
            table_input=table.TableInputProperty(
                name=name,
                table_type="EXTERNAL_TABLE",
                partition_keys=_columns("dt string"),
                parameters={
                    "EXTERNAL": "TRUE",
                    "projection.enabled": "true",
                    "projection.dt.type": "date",
                    "projection.dt.format": "yyyy-MM-dd",
                    "projection.dt.range": f"{self._first_day},NOW+1DAYS",
                    "storage.location.template": f"{location}dt=${{dt}}/",
                },
                storage_descriptor=table.StorageDescriptorProperty(
                    columns=_columns(columns),
                    location=location,
                    input_format=stored[0],
                    output_format=stored[1],
                    serde_info=table.SerdeInfoProperty(serialization_library=stored[2]),
                ),
            ),
        )


def _columns(columns: str) -> list[glue.CfnTable.ColumnProperty]:
    pairs = (column.split() for column in columns.split(", "))
    return [glue.CfnTable.ColumnProperty(name=name, type=type_) for name, type_ in pairs]
