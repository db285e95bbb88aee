"""All that a stack keeps: objects of its buckets and items of its tables, to compare, to store, and to put back."""

from typing import Any

from cli.stack import Stack
from layers.storage.objects import S3Objects
from layers.storage.tables import load

TABLES = ("Models", "Runs", "Forecasts", "Classifications", "Profiles")


def buckets(stack: Stack) -> dict[str, S3Objects]:
    """By name."""
    return {"lake": stack.lake, "models": stack.models}


def objects(stack: Stack) -> dict[str, bytes]:
    """Bodies by bucket and key, such as `lake/catalog.json`; what Athena answered is left out."""
    return {
        f"{name}/{info.key}": bucket.get(info.key)
        for name, bucket in buckets(stack).items()
        for info in bucket.list("")
        if not info.key.startswith("queries/")
    }


def items(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Items by table, as DynamoDB types them."""
    scan = stack.client("dynamodb").get_paginator("scan")
    return {
        name: [item for page in scan.paginate(TableName=stack.outputs[f"{name}Table"]) for item in page["Items"]]
        for name in TABLES
    }


def counted(stack: Stack) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """Items as plain values by table and key; a count of nothing is none, nor is when it expires."""
    keys = {"Models": ("leaf", "version"), "Runs": ("job", "key"), "Forecasts": ("series_id", "item")}
    keys |= {"Classifications": ("user_id",), "Profiles": ("model", "bucket")}
    tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for table, typed in items(stack).items():
        tables[table] = {}
        for item in map(load, typed):
            key = tuple(item.pop(name) for name in keys[table])
            if rest := {name: value for name, value in item.items() if value != 0 and name != "expires_at"}:
                tables[table][key] = rest
    return tables
