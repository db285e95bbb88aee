import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.classification import handler
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from functions.classification.store import Letter, SqsLetters, start_training
from tests.classification import Cloud, records
from tests.tables import as_csv

ROOT = Path(__file__).resolve().parents[3]


def context(seconds: float = 60.0):
    return SimpleNamespace(
        function_name="f",
        memory_limit_in_mb=512,
        invoked_function_arn="arn",
        aws_request_id="r",
        get_remaining_time_in_millis=lambda: seconds * 1000,
    )


def test_score_answers_what_is_to_be_delivered_again(cloud, monkeypatch):
    monkeypatch.setattr(handler, "build_scoring", cloud.scoring)
    event = {"Records": records(events(customers(3, seed=0)))}
    assert handler.score(event, context()) == {"batchItemFailures": []}
    again = handler.score(event, context(1.0))
    assert again == {"batchItemFailures": [{"itemIdentifier": f"m{i}"} for i in range(3)]}


def test_train_takes_its_reason_from_the_event(monkeypatch):
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(1_500, seed=1)))
    settings = ClassificationSettings(iterations=1, trees=20)
    service = TrainingService(cloud.lake, cloud.registry, cloud.ledger, settings, lambda: cloud.now)
    monkeypatch.setattr(handler, "build_training", lambda: service)
    answer = handler.train({"reason": "by hand"}, context(600))
    assert answer["reason"].startswith("by hand")


def test_the_services_are_built_once_from_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for build in (handler.build_scoring, handler.build_watch, handler.build_training):
        build.cache_clear()
        assert build() is build()


def test_serving_imports_neither_scikit_learn_nor_pandas_nor_pyarrow():
    code = (
        "import sys, functions.classification.handler as h\n"
        "import functions.classification.watch, functions.classification.store\n"
        "heavy = {'sklearn', 'pandas', 'pyarrow', 'imblearn', 'skl2onnx', 'scipy', 'matplotlib', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_scoring_a_file_imports_nothing_of_what_trains():
    code = (
        "import sys, cli.main, functions.classification.files\n"
        "heavy = {'sklearn', 'imblearn', 'skl2onnx', 'scipy', 'matplotlib', 'lightgbm', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


class Queue:
    def __init__(self, down_for: tuple[str, ...] = ()) -> None:
        self.messages, self.down_for = {}, down_for

    def send_message(self, QueueUrl, MessageBody, **message):
        message_id = message["MessageAttributes"]["message_id"]["StringValue"]
        if message_id in self.down_for:
            raise EndpointConnectionError(endpoint_url=QueueUrl)
        if MessageBody == "refuse me":
            raise ClientError({"Error": {"Code": "InvalidMessageContents"}}, "SendMessage")
        self.messages[message_id] = message | {"MessageBody": MessageBody}


def test_dead_letters_carry_their_reason_and_those_that_the_queue_did_not_take_are_told():
    queue = Queue(down_for=("m3", "m7"))
    letters = [Letter(f"m{i}", "body", "age is missing") for i in range(12)] + [Letter("x", "refuse me", "?")]
    assert SqsLetters("url", lambda: queue).send(letters) == {"m3", "m7", "x"}
    assert len(queue.messages) == 10
    attribute = queue.messages["m0"]["MessageAttributes"]["reason"]
    assert attribute == {"DataType": "String", "StringValue": "age is missing"}


def test_large_dead_letters_are_cut_to_what_a_queue_takes():
    queue = Queue()
    SqsLetters("url", lambda: queue).send([Letter("m", "é" * 520_000, "not JSON")])
    assert len(queue.messages["m"]["MessageBody"].encode()) <= 1_000_000


def test_the_trainer_does_not_wait():
    calls = []
    start_training(SimpleNamespace(invoke=lambda **call: calls.append(call)), "train", "drift")
    assert calls[0]["InvocationType"] == "Event"
    assert json.loads(calls[0]["Payload"]) == {"reason": "drift"}


@pytest.mark.parametrize(
    "field", ["classifications_table", "profiles_table", "dead_letter_queue_url", "train_function"]
)
def test_the_stack_can_write_every_name_a_function_needs(field):
    assert ClassificationSettings(**{field: "x"}).environment() == {f"TREFOIL_{field.upper()}": "x"}
