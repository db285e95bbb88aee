"""The index by segment under DynamoDB's limit of writes to one key, in simulated time."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable

import pytest

from functions.classification.service import SHARDS, segment_shard
from functions.classification.settings import ClassificationSettings

LIMIT = 1_000  # writes a second that one key takes
WRITE_S, ATTEMPTS = 0.01, 5  # a put, and how often the SDK tries it
BATCH, TIMEOUT_S = 1_000, 60
SHARES = {"leave": 0.6, "nurture": 0.3, "target": 0.1}

Key = Callable[[str, str], str]


class Index:
    """Keys with a bucket of a second's writes each; a changed result removes one entry and adds another."""

    def __init__(self) -> None:
        self.tokens: dict[str, float] = defaultdict(lambda: float(LIMIT))
        self.filled: dict[str, float] = defaultdict(float)

    def takes(self, key: str, now: float, writes: int = 2) -> bool:
        self.tokens[key] = min(LIMIT, self.tokens[key] + (now - self.filled[key]) * LIMIT)
        self.filled[key] = now
        if self.tokens[key] < writes:
            return False
        self.tokens[key] -= writes
        return True


def returned(functions: int, key_of: Key, batches: int = 3) -> float:
    """Share of the messages that calls give back, when `functions` of them score one full batch after another."""
    settings, draw, index = ClassificationSettings(), random.Random(0), Index()
    failed = 0
    waiting: list[list[str]] = []
    deadlines: list[float] = []
    events: list[tuple[float, int, int, str, int]] = []  # when, order, function, key, attempt

    def next_key() -> str:
        (segment,) = draw.choices(list(SHARES), list(SHARES.values()))
        return key_of(segment, f"user-{draw.randrange(10_000_000)}")

    def begin(function: int, now: float) -> None:
        waiting[function] = [next_key() for _ in range(BATCH)]
        deadlines[function] = now + TIMEOUT_S - settings.deadline_seconds
        for _ in range(settings.writers):
            put(function, now, waiting[function].pop(), 1)

    def put(function: int, when: float, key: str, attempt: int) -> None:
        heapq.heappush(events, (when + WRITE_S, len(events) + draw.randrange(1 << 30), function, key, attempt))

    left = [batches] * functions
    under_way = [settings.writers] * functions
    for function in range(functions):
        waiting.append([])
        deadlines.append(0.0)
        begin(function, draw.random())
    while events:
        now, _, function, key, attempt = heapq.heappop(events)
        if not index.takes(key, now):
            if attempt < ATTEMPTS and now < deadlines[function]:
                put(function, now + draw.random() * min(2 ** (attempt - 1), 20), key, attempt + 1)
                continue
            failed += 1
        if waiting[function] and now < deadlines[function]:
            put(function, now, waiting[function].pop(), 1)
            continue
        under_way[function] -= 1
        if under_way[function] == 0:
            failed += len(waiting[function])
            left[function] -= 1
            if left[function]:
                under_way[function] = settings.writers
                begin(function, now)
    return failed / (functions * batches * BATCH)


@pytest.mark.parametrize(("functions", "share"), [(10, 0.0005), (20, 0.005)])
def test_an_index_of_three_keys_would_return_messages_and_the_sharded_one_returns_none(
    functions: int, share: float
) -> None:
    assert returned(functions, lambda segment, _: segment) > share
    assert returned(functions, segment_shard) == 0


def test_a_user_keeps_his_shard_and_users_spread_over_all_of_them() -> None:
    keys = [segment_shard("target", f"user-{i:07d}") for i in range(16_000)]
    assert segment_shard("target", "user-0000000") == keys[0]
    assert sorted(set(keys)) == sorted(f"target#{shard}" for shard in range(SHARDS))
    assert max(map(keys.count, set(keys))) < 1_300
