"""Commands that talk to a stack, on the local cloud."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import ingest, models, queue, runs, status
from cli.stack import Stack
from layers.runtime.errors import InputError


@pytest.fixture(autouse=True)
def connected(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        *((module, "connect") for module in (models, runs, status)),
        *((module, "change") for module in (ingest, models, queue, runs)),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: stack)


def sales_file(folder: Path, name: str, *, days: int = 30) -> Path:
    rows = [f"{name},2026-01-{day:02},{day % 7 + 1}" for day in range(1, days + 1)]
    file = folder / f"{name}.csv"
    file.write_text("\n".join(["series_id,ds,y", *rows]))
    return file


def test_a_file_is_ingested_by_its_arrival_and_the_ledger_tells(stack: Stack, tmp_path: Path) -> None:
    file = sales_file(tmp_path, "commanded")
    body, code = ingest.ingest([file])
    assert code == 0
    assert body["files"][0]["outcome"] == "done"
    again, code = ingest.ingest([file])  # put again it counts as new: it may have been undone by another in between
    assert (again["files"][0]["outcome"], code) == ("done", 0)
    told = runs.runs("forecasting-ingest")["runs"]
    assert again["files"][0]["run_id"] in {run["run_id"] for run in told}


def test_a_foreign_file_is_a_failed_run_and_the_users_mistake(tmp_path: Path) -> None:
    file = tmp_path / "foreign.parquet"
    file.write_bytes(b"PK\x03\x04 not a table")
    body, code = ingest.ingest([file])
    assert code == 2
    assert body["files"][0]["outcome"] == "failed"
    with pytest.raises(InputError, match="is not a file"):
        ingest.ingest([tmp_path])


def test_training_is_started_by_hand_and_its_version_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.ingest([sales_file(tmp_path, "trained")])
    done = runs.train("forecasting")
    assert (done["leaf"], done["status"]) == ("forecasting", "published")
    rows = models.list_("forecasting")["versions"]
    assert rows[0]["status"] == "champion"
    shown = models.show("forecasting", rows[0]["version"])
    assert (shown["status"], shown["as_here"]) == ("champion", True)
    assert models.prune("forecasting", keep=0)["versions"] == []
    assert rows[0]["version"] in capsys.readouterr().out


def put_letters(stack: Stack, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        stack.client("sqs").send_message(
            QueueUrl=stack.outputs["ClassificationDeadLetters"],
            MessageBody=json.dumps(body),
            MessageAttributes={"reason": {"DataType": "String", "StringValue": "not JSON"}},
        )


def test_dead_letters_make_the_status_unhealthy_until_they_are_gone(stack: Stack) -> None:
    put_letters(stack, {"a": 1}, {"a": 2})
    body, code = status.status()
    assert code == 1
    assert any("ClassificationDeadLetters" in line for line in body["attention"])
    answer = queue.classification(reason="not JSON", dry_run=True)
    assert (answer["reasons"], answer["sent"]) == ({"not JSON": 2}, 0)
    assert queue.classification(reason="another")["sent"] == 0
    assert queue.classification(reason="not JSON")["sent"] == 2
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["ClassificationDeadLetters"])


def test_an_unknown_job_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match="clustering"):
        runs.runs("nightly")


def test_logs_name_the_functions_there_are() -> None:
    with pytest.raises(InputError, match="clustering-fit"):
        runs.logs("nothing")
