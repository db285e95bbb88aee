"""Items of one DynamoDB table, as plain Python values."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from layers.runtime.errors import InputError
from layers.storage.aws import translated

Item = dict[str, Any]

# The range of DynamoDB's numbers, which is narrower than that of floats: what lies beyond is taken to its ends.
SMALLEST, LARGEST = 1e-130, 9.9e125

_serialise = TypeSerializer().serialize
_deserialise = TypeDeserializer().deserialize


class DynamoTable:
    """One table. Floats go in as decimals and come out as int or float; conditions are boto3's `Attr(...)` trees."""

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self._client = client

    def get(self, key: Mapping[str, Any]) -> Item | None:
        """The item, read consistently, or None."""
        with translated(self.name):
            answer = self._client.get_item(TableName=self.name, Key=dump(key), ConsistentRead=True)
        return load(answer["Item"]) if "Item" in answer else None

    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None:
        """Replace the item. Raises ConflictError when `condition` does not hold for what is stored."""
        with translated(self.name):
            self._client.put_item(TableName=self.name, Item=dump(item), **_expression("ConditionExpression", condition))

    def add(self, key: Mapping[str, Any], counters: Mapping[str, int], *, expires_at: int | None = None) -> None:
        """Add to top-level numbers atomically, creating the item and each number as needed."""
        names = {f"#c{i}": name for i, name in enumerate(counters)}
        values = {f":c{i}": {"N": str(n)} for i, n in enumerate(counters.values())}
        update = "ADD " + ", ".join(f"#c{i} :c{i}" for i in range(len(counters)))
        if expires_at is not None:
            update += " SET #ttl = :ttl"
            names["#ttl"], values[":ttl"] = "expires_at", {"N": str(expires_at)}
        with translated(self.name):
            self._client.update_item(
                TableName=self.name,
                Key=dump(key),
                UpdateExpression=update,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )

    def query(self, key: ConditionBase, *, newest_first: bool = False) -> Iterator[Item]:
        """Items under a key condition (`Key("leaf").eq(...)`), in sort-key order."""
        condition, pages = _expression("KeyConditionExpression", key), self._client.get_paginator("query")
        with translated(self.name):
            for page in pages.paginate(TableName=self.name, ScanIndexForward=not newest_first, **condition):
                yield from map(load, page["Items"])

    def delete(self, key: Mapping[str, Any]) -> None:
        """Remove the item; a missing one is no error."""
        with translated(self.name):
            self._client.delete_item(TableName=self.name, Key=dump(key))


def _expression(kind: str, condition: ConditionBase | None) -> dict[str, Any]:
    if condition is None:
        return {}
    built = ConditionExpressionBuilder().build_expression(condition, is_key_condition=kind.startswith("Key"))
    values = dump(built.attribute_value_placeholders)
    return {
        kind: built.condition_expression,
        "ExpressionAttributeNames": built.attribute_name_placeholders,
    } | ({"ExpressionAttributeValues": values} if values else {})


def dump(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as DynamoDB's typed values. Raises InputError for NaN and infinity."""
    return {name: _serialise(_to_dynamo(value)) for name, value in item.items()}


def load(item: Mapping[str, Any]) -> Item:
    """The item from DynamoDB's typed values."""
    return {name: _from_dynamo(_deserialise(value)) for name, value in item.items()}


def _to_dynamo(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError("a table holds no NaN or infinity")
        return Decimal(repr(max(-LARGEST, min(value, LARGEST)) if abs(value) > SMALLEST else 0.0))
    if isinstance(value, Mapping):
        return {str(k): _to_dynamo(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_to_dynamo(v) for v in value]
    return value


def _from_dynamo(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Binary):
        return bytes(value.value)  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {k: _from_dynamo(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_from_dynamo(v) for v in value]
    return value
