"""AWS behind this leaf's own ports."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from functions.classification.messages import Poison
from layers.runtime.errors import TrefoilError
from layers.runtime.observability import logger
from layers.storage.aws import translated

log = logger("classification")

BATCH = 10
BATCH_BYTES = 1_000_000  # a queue takes 1 MiB, attributes included


class SqsLetters:
    """A queue for messages that are not answered; each carries the reason as its attribute `reason`.

    `connect` makes the client when the first one comes: most containers never see one. `delay`: seconds until the
    queue hands them over, at most 900.
    """

    def __init__(self, url: str, connect: Callable[[], Any], *, delay: int = 0) -> None:
        self._url, self._connect, self._delay = url, cache(connect), delay

    def send(self, letters: Sequence[Poison]) -> set[str]:
        """Send in batches; returns the message ids that the queue did not take, and no others."""
        failed: set[str] = set()
        for batch in _batches(letters):
            entries = [
                {
                    "Id": str(i),
                    "DelaySeconds": self._delay,
                    "MessageBody": _cut(letter.body),
                    "MessageAttributes": {
                        "reason": {"DataType": "String", "StringValue": letter.reason[:256]},
                        "message_id": {"DataType": "String", "StringValue": letter.message_id},
                    },
                }
                for i, letter in enumerate(batch)
            ]
            try:
                with translated("the queue"):
                    answer = self._connect().send_message_batch(QueueUrl=self._url, Entries=entries)
            except TrefoilError:
                log.warning("letters not sent", exc_info=True)
                answer = {"Failed": entries}
            failed |= {batch[int(entry["Id"])].message_id for entry in answer.get("Failed", ())}
        return failed


def _batches(letters: Sequence[Poison]) -> list[list[Poison]]:
    batches: list[list[Poison]] = []
    size = 0
    for letter in letters:
        length = len(_cut(letter.body).encode()) + 1_000
        if not batches or size + length > BATCH_BYTES or len(batches[-1]) == BATCH:
            batches.append([])
            size = 0
        batches[-1].append(letter)
        size += length
    return batches


def _cut(body: str) -> str:
    """The largest message leaves no room for its reason."""
    return body.encode()[:BATCH_BYTES].decode(errors="ignore")


class LambdaTrainer:
    """Starts the training function and does not wait for it."""

    def __init__(self, function: str, client: Any) -> None:
        self._function, self._client = function, client

    def start(self, reason: str) -> None:
        """Asynchronous: the answer says only that the call was taken."""
        with translated(self._function):
            self._client.invoke(
                FunctionName=self._function, InvocationType="Event", Payload=json.dumps({"reason": reason}).encode()
            )
