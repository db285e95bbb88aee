"""The real adapters on the local cloud keep the same contract as the fakes."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import Stack
from layers.storage.objects import S3Objects
from layers.storage.tables import DynamoTable
from tests.storage_contract import ObjectsContract, TableContract


class TestS3Objects(ObjectsContract):
    @pytest.fixture
    def objects(self, stack: Stack) -> S3Objects:
        bucket = f"contract-{uuid.uuid4().hex[:12]}"
        stack.client("s3").create_bucket(Bucket=bucket)
        return S3Objects(bucket, stack.client("s3"))

    def test_uploads_a_file(self, objects: S3Objects, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"content")
        objects.upload(file, "uploaded")
        assert objects.get("uploaded") == b"content"


class TestDynamoTable(TableContract):
    @pytest.fixture
    def table(self, stack: Stack) -> Iterator[DynamoTable]:
        client, name = stack.client("dynamodb"), f"contract-{uuid.uuid4().hex[:12]}"
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("leaf", "version")],
            KeySchema=[
                {"AttributeName": "leaf", "KeyType": "HASH"},
                {"AttributeName": "version", "KeyType": "RANGE"},
            ],
        )
        yield DynamoTable(name, client)
        client.delete_table(TableName=name)
