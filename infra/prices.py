"""What AWS asks for, dated. Nothing is imported here: commands read it without CDK."""

from typing import Final

# A GB-second of Lambda by architecture.
GB_SECOND: Final[dict[str, float]] = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
# US East (N. Virginia), 2026-11, US dollars. Of an idle month, free are only quantities that stay free after the first
# year; a day's cost leaves no free quantity out.
PRICES: Final[dict[str, float]] = {
    "GB-second of Lambda": GB_SECOND["x86_64"],
    "million Lambda requests": 0.20,
    "GB-month in ECR": 0.10,
    "alarm beyond 10": 0.10,
    "dashboard beyond 3": 3.00,
    "SnapStart, GB-month": 3.90,
    "KMS key": 1.00,
    "million HTTP API calls": 1.00,
    "million state transitions": 25.0,
    "million SQS requests": 0.40,
    "million DynamoDB writes": 0.625,
    "million DynamoDB reads": 0.125,
    "million S3 writes": 5.0,
    "million S3 reads": 0.40,
    "GB of logs": 0.50,
    "million traces": 5.0,
    "GB-month in DynamoDB": 0.25,
    "GB-month that can be recovered": 0.20,  # point-in-time recovery, of the table and not of its indexes
    "month of a custom metric": 0.30,  # by the hour, and only hours in which it is sent
}
