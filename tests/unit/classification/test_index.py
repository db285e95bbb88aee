"""The index by segment under DynamoDB's limit of writes to one key, in simulated time."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable

import pytest

from functions.classification.serve import SHARDS, segment_shard
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


class Calls:
    """Functions that score one full batch after another; an event is a put that ends."""

    def __init__(self, functions: int, key_of: Key, batches: int) -> None:
        self.draw, self.index, self.key_of = random.Random(0), Index(), key_of
        self.settings, self.failed = ClassificationSettings(), 0
        self.events: list[tuple[float, int, int, str, int]] = []
        self.left = [batches] * functions
        self.waiting: list[list[str]] = [[] for _ in range(functions)]
        self.deadlines, self.under_way = [0.0] * functions, [0] * functions
        for function in range(functions):
            self.begin(function, self.draw.random())

    def begin(self, function: int, now: float) -> None:
        self.left[function] -= 1
        segments = self.draw.choices(list(SHARES), list(SHARES.values()), k=BATCH)
        self.waiting[function] = [self.key_of(s, f"user-{self.draw.randrange(10_000_000)}") for s in segments]
        self.deadlines[function] = now + TIMEOUT_S - self.settings.deadline_seconds
        self.under_way[function] = self.settings.writers
        for _ in range(self.settings.writers):
            self.put(function, now, self.waiting[function].pop())

    def put(self, function: int, when: float, key: str, attempt: int = 1) -> None:
        heapq.heappush(self.events, (when + WRITE_S, self.draw.randrange(1 << 60), function, key, attempt))

    def run(self) -> None:
        while self.events:
            now, _, function, key, attempt = heapq.heappop(self.events)
            in_time = now < self.deadlines[function]
            if not self.index.takes(key, now):
                if attempt < ATTEMPTS and in_time:
                    self.put(function, now + self.draw.random() * min(2 ** (attempt - 1), 20), key, attempt + 1)
                    continue
                self.failed += 1
            if self.waiting[function] and in_time:
                self.put(function, now, self.waiting[function].pop())
            else:
                self.end(function, now)

    def end(self, function: int, now: float) -> None:
        self.under_way[function] -= 1
        if self.under_way[function] == 0:
            self.failed += len(self.waiting[function])
            if self.left[function]:
                self.begin(function, now)


def returned(functions: int, key_of: Key, batches: int = 3) -> float:
    """Share of the messages that calls give back."""
    calls = Calls(functions, key_of, batches)
    calls.run()
    return calls.failed / (functions * batches * BATCH)


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
