"""The queue at what the worker can take and at twice that: the backlog drains, nothing is lost, nothing doubled."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from cli.queue import queue_depth
from cli.stack import Stack
from functions.classification.simulate import customers, events
from tests.drivers import POISON, letters, stored
from tests.load.container import Container
from tests.tally import QUICK, Tally

SECONDS = 8 if QUICK else 60
PROBE = 300 if QUICK else 2_000


def bodies(rows: int, seed: int, prefix: str) -> list[str]:
    """About `rows` messages in a random order: of each user four events, of a tenth twice, and 1 % poison."""
    draw, bad, twice = random.Random(seed), rows // 100, rows // 10
    good = events(customers(rows - bad - twice, seed), seed=seed, users=rows // 4, every=timedelta(milliseconds=100))
    good = [body.replace('"user-', f'"{prefix}-') for body in good]
    poison = [json.dumps({"poison": f"{prefix}-{i}"}) if i % 4 else f"{prefix} {POISON[0]} {i}" for i in range(bad)]
    mixed = [*good, *draw.sample(good, twice), *poison]
    draw.shuffle(mixed)
    return mixed


def is_poison(body: str) -> bool:
    return '"event_id"' not in body


def newest(sent: list[str]) -> dict[str, str]:
    """The event that must stand for each user."""
    sound = [json.loads(body) for body in sent if not is_poison(body)]
    sound.sort(key=lambda event: (datetime.fromisoformat(event["observed_at"]), event["event_id"]))
    return {event["user_id"]: event["event_id"] for event in sound}


def send(stack: Stack, sent: list[str], rate: float) -> tuple[dict[str, float], float]:
    """Send at `rate` messages a second, or as fast as it goes: when each event was sent, and the rate reached."""
    sqs, url, began, at = stack.client("sqs"), stack.outputs["ClassificationQueue"], time.monotonic(), {}

    def batch(first: int) -> None:
        time.sleep(max(began + first / rate - time.monotonic(), 0))
        part = sent[first : first + 10]
        answer = sqs.send_message_batch(
            QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(part)]
        )
        assert len(answer["Successful"]) == len(part)
        at.update({json.loads(body)["event_id"]: time.time() for body in part if not is_poison(body)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(batch, range(0, len(sent), 10)))
    return at, len(sent) / (time.monotonic() - began)


def drain(stack: Stack, patience: float) -> float:
    """Seconds until the queue is empty."""
    began = time.monotonic()
    while queue_depth(stack, "ClassificationQueue"):
        assert time.monotonic() - began < patience, "the backlog does not drain"
        time.sleep(0.2)
    return time.monotonic() - began


def oldest(items: dict[str, dict[str, Any]], sent_at: dict[str, float]) -> float:
    """The longest that a result which stands had to wait since its message was sent, s."""
    stamps = {item["event_id"]["S"]: item["classified_at"]["S"] for item in items.values()}
    return max(datetime.fromisoformat(stamp).timestamp() - sent_at[event] for event, stamp in stamps.items())


def count(stack: Stack, prefix: str, sent: list[str], dead: list[str]) -> dict[str, int]:
    """What became of `sent`, all of which has left the queue.

    Lost: a user whose newest event does not stand, poison that is not dead. Doubled: a user or a dead letter too many.
    """
    expected, poison = newest(sent), Counter(filter(is_poison, sent))
    found = {user: item["event_id"]["S"] for user, item in stored(stack, f"{prefix}-").items()}
    refused = Counter(body for body in dead if prefix in body)
    return {
        "messages": len(sent),
        "results": len(found),
        "dead_letters": refused.total(),
        "lost": sum(found.get(user) != event for user, event in expected.items()) + (poison - refused).total(),
        "doubled": len(found.keys() - expected.keys()) + (refused - poison).total(),
    }


@pytest.mark.usefixtures("classifier")
def test_the_backlog_of_twice_what_the_worker_takes_drains_and_nothing_is_lost(stack: Stack, tally: Tally) -> None:
    send(stack, [body for body in bodies(200, 9, "warm") if not is_poison(body)], float("inf"))
    drain(stack, 60)
    probe = bodies(PROBE, 10, "probe")
    began = time.monotonic()
    sent_at, rate = send(stack, probe, float("inf"))
    drained = drain(stack, 60 + PROBE / 10)
    saturation = PROBE / (time.monotonic() - began)
    rounds = [("all at once", "probe", probe, sent_at, rate, drained)]
    for factor, prefix in ((1, "steady"), (2, "twice")):
        sent = bodies(int(saturation * factor * SECONDS) // 100 * 100, 20 + factor, prefix)
        sent_at, rate = send(stack, sent, saturation * factor)
        rounds.append((f"{factor} x saturation", prefix, sent, sent_at, rate, drain(stack, 120 + 4 * SECONDS)))
    dead = [body for body, _ in letters(stack)]
    ends = []
    for what, prefix, sent, sent_at, rate, drained in rounds:
        ends.append(count(stack, prefix, sent, dead))
        waited = oldest(stored(stack, f"{prefix}-"), sent_at)
        speed = {"sent_per_s": f"{rate:.0f}", "drained_after_s": f"{drained:.1f}", "oldest_s": f"{waited:.1f}"}
        tally.add("Queue through the local cloud, ten messages a call", what=what, **ends[-1], **speed)
    assert [(end["lost"], end["doubled"]) for end in ends] == [(0, 0)] * 3
    assert sum(end["dead_letters"] for end in ends) == len(dead) > 0


def test_the_worker_takes_a_thousand_messages_at_once(
    stack: Stack, classifier: None, container: Callable[..., Container], tally: Tally
) -> None:
    """What AWS hands over; the emulator's mapping stops at ten."""
    worker, calls, size = container("FunctionClassificationScore"), 3 if QUICK else 20, 1_000
    sent = bodies(calls * size, 30, "thousand")
    failed, times = [], []
    for first in range(0, len(sent), size):
        records = [{"messageId": f"m{first + i}", "body": body} for i, body in enumerate(sent[first : first + size])]
        began = time.monotonic()
        failed += worker({"Records": records})["batchItemFailures"]
        times.append(time.monotonic() - began)
    end = count(stack, "thousand", sent, [body for body, _ in letters(stack)])
    speed = {"returned": len(failed), "per_s": f"{len(sent) / sum(times):.0f}", "slowest_s": f"{max(times):.1f}"}
    tally.add("Worker at the handler, a thousand messages a call", **end, **speed, rss_MB=worker.rss() >> 20)
    assert (end["lost"], end["doubled"], failed) == (0, 0, [])
    told = worker.logged("batch scored")
    assert sum(line["received"] for line in told) == len(sent)
    assert sum(line["poison"] for line in told) == end["dead_letters"]
