"""Imported once by the process that victims are forked from, with nothing of it connected to anything yet."""

import boto3
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet  # noqa: F401 - so that no child imports these

import functions.classification.handler
import functions.classification.learn
import functions.classification.watch
import functions.clustering.handler
import functions.forecasting.domain.answer
import functions.forecasting.handler
import functions.forecasting.intake
import functions.forecasting.learn  # noqa: F401

boto3.setup_default_session(region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
for service in ("s3", "dynamodb", "sqs", "lambda"):  # their models are read from disk once
    boto3.client(service)
