"""In-memory stands-in for AWS; tests/local runs the same contract tests on the real adapters of S3 and DynamoDB."""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

from boto3.dynamodb.conditions import AttributeBase, ConditionBase

from layers.runtime.errors import ConflictError, MissingError
from layers.storage.objects import ObjectInfo, RangeReader
from layers.storage.tables import Item, dump, load

ATOMIC = threading.Lock()


def _now() -> datetime:
    return datetime.now(UTC)


class InMemoryObjects:
    """A bucket in a dict. `tags` holds what `tag` set."""

    def __init__(self, bodies: Mapping[str, bytes] | None = None, bucket: str = "memory") -> None:
        self.bucket = bucket
        self.bodies = dict(bodies or {})
        self.tags: dict[str, dict[str, str]] = {}
        self.clock: Callable[[], datetime] = _now
        self.modified: dict[str, datetime] = {}

    def get(self, key: str, *, if_match: str | None = None) -> bytes:
        body, etag = self.get_tagged(key)
        if if_match not in (None, etag):
            raise ConflictError(f"{key} was changed by somebody else")
        return body

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        if key not in self.bodies:
            raise MissingError(f"{key} does not exist")
        return self.bodies[key], _etag(self.bodies[key])

    def get_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        found = self.get_tagged(key)
        return None if found[1] == etag else found

    def put(
        self,
        key: str,
        body: bytes,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        with ATOMIC:
            standing = self.bodies.get(key)
            if if_match is not None and standing is None:
                raise MissingError(f"{key} does not exist")
            if (if_absent and standing is not None) or (
                if_match is not None and standing is not None and _etag(standing) != if_match
            ):
                raise ConflictError(f"{key} was changed by somebody else")
            self.bodies[key] = bytes(body)
            self.modified[key] = self.clock()
            return _etag(body)

    def upload(self, path: Path, key: str) -> None:
        self.bodies[key] = Path(path).read_bytes()

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        for key in sorted(self.bodies):
            if key.startswith(prefix) and key > after:
                body = self.bodies[key]
                yield ObjectInfo(key, len(body), _etag(body), self.modified.get(key) or self.clock())

    def open(self, key: str, *, if_match: str | None = None) -> BinaryIO:
        body = self.get(key, if_match=if_match)
        return cast(BinaryIO, io.BufferedReader(RangeReader(self.range, ObjectInfo(key, len(body), _etag(body)))))

    def range(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return self.get(info.key, if_match=info.etag)[start:end]

    def tag(self, key: str, **tags: str) -> None:
        self.get(key)
        self.tags[key] = tags

    def delete(self, key: str) -> None:
        self.bodies.pop(key, None)


class InMemoryTable:
    """A table in a dict, with the same number rules as DynamoDB; `key` names the key's attributes in order."""

    def __init__(self, *key: str) -> None:
        self.key = key
        self.items: dict[tuple[Any, ...], Item] = {}

    def _id(self, item: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(item[name] for name in self.key)

    def get(self, key: Mapping[str, Any]) -> Item | None:
        item = self.items.get(self._id(key))
        return None if item is None else load(dump(item))

    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None:
        if condition is not None and not holds(condition, self.items.get(self._id(item), {})):
            raise ConflictError("the item was changed by somebody else")
        self.items[self._id(item)] = load(dump(item))

    def delete(self, key: Mapping[str, Any]) -> None:
        self.items.pop(self._id(key), None)

    def add(self, key: Mapping[str, Any], counters: Mapping[str, int], *, expires_at: int | None = None) -> None:
        item = self.items.setdefault(self._id(key), dict(key))
        for name, count in counters.items():
            item[name] = item.get(name, 0) + count
        if expires_at is not None:
            item["expires_at"] = expires_at

    def query(self, key: ConditionBase, *, newest_first: bool = False) -> Iterator[Item]:
        found = [item for item in self.items.values() if holds(key, item)]
        ordered = sorted(found, key=lambda item: str(item[self.key[-1]]), reverse=newest_first)
        return iter([load(dump(item)) for item in ordered])


class SentTwice(InMemoryTable):
    """A table whose answers are lost: the SDK sends every write a second time."""

    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None:
        super().put(item, condition=condition)
        super().put(item, condition=condition)


class InMemoryQueues:
    """Queues by address; what was received stays hidden until its receipt says otherwise."""

    def __init__(self) -> None:
        self.queues: dict[str, list[dict[str, Any]]] = {}
        self.hidden: set[str] = set()
        self.sent = 0
        self.time = 0  # ms since 1970

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any = None) -> None:
        self.sent += 1
        name = str(self.sent)
        message = {"MessageId": name, "ReceiptHandle": name, "Body": MessageBody}
        message |= {"Attributes": {"SentTimestamp": str(self.time)}}
        self.queues.setdefault(QueueUrl, []).append(message | {"MessageAttributes": MessageAttributes or {}})

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:
        seen = [m for m in self.queues.get(QueueUrl, []) if m["MessageId"] not in self.hidden][:MaxNumberOfMessages]
        self.hidden |= {message["MessageId"] for message in seen}
        return {"Messages": seen}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.queues[QueueUrl] = [m for m in self.queues[QueueUrl] if m["ReceiptHandle"] != ReceiptHandle]

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        self.hidden.discard(ReceiptHandle)

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {
            "Attributes": {
                name: str(len(self.queues.get(QueueUrl, [])) * (i == 0)) for i, name in enumerate(AttributeNames)
            }
        }


class Alarms:
    """CloudWatch with `ringing` in alarm."""

    def __init__(self) -> None:
        self.ringing: list[str] = []

    def get_paginator(self, _: str) -> Any:
        page = {"MetricAlarms": [{"AlarmName": name} for name in self.ringing]}
        return SimpleNamespace(paginate=lambda **_: [page])


def holds(condition: ConditionBase, item: Mapping[str, Any]) -> bool:
    """Evaluate a boto3 condition tree on an item, as DynamoDB would."""
    expression = condition.get_expression()
    operator, values = expression["operator"], expression["values"]
    if operator == "AND":
        return holds(values[0], item) and holds(values[1], item)
    if operator == "OR":
        return holds(values[0], item) or holds(values[1], item)
    if operator == "NOT":
        return not holds(values[0], item)
    name = values[0].name
    present = name in item
    if operator == "attribute_exists":
        return present
    if operator == "attribute_not_exists":
        return not present
    if not present:
        return False
    left, right = item[name], [item.get(v.name) if isinstance(v, AttributeBase) else v for v in values[1:]]
    comparisons = {
        "=": lambda: left == right[0],
        "<>": lambda: left != right[0],
        "<": lambda: left < right[0],
        "<=": lambda: left <= right[0],
        ">": lambda: left > right[0],
        ">=": lambda: left >= right[0],
        "begins_with": lambda: str(left).startswith(right[0]),
        "BETWEEN": lambda: right[0] <= left <= right[1],
    }
    return bool(comparisons[operator]())


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
