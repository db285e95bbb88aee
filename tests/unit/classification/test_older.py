"""Versions that earlier code stored, from before boosted trees, explanations and expected quality: they answer and are
compared."""

import json

import numpy as np
import pytest

from cli import console
from cli.main import app
from functions.classification.contracts import EXPLANATION_FILE, LEAF
from functions.classification.learn import TrainingService
from functions.classification.simulate import customers, events
from functions.classification.watch import WatchService
from layers.storage.tables import load
from tests.classification import Cloud, records
from tests.recorded import recordings
from tests.tables import as_csv


@pytest.fixture(scope="module", params=recordings(), ids=lambda recorded: recorded.file.stem)
def recorded(request):
    return request.param


@pytest.fixture
def cloud(recorded) -> Cloud:
    made = Cloud()
    made.models.bodies |= {name.removeprefix("models/"): body for name, body in recorded.objects.items()}
    for item in recorded.items["Models"]:
        made.registry_table.put(load(item))
    return made


def test_an_older_champion_answers_messages_is_watched_and_is_compared_with_a_candidate(cloud):
    assert cloud.scoring().score(records(events(customers(40, seed=3))), lambda: 60.0) == []
    version = cloud.registry.champion(LEAF).version
    assert {item["model_version"] for item in cloud.results.items.values()} == {version}
    assert np.std([item["probability"] for item in cloud.results.items.values()]) > 0.001
    watch = WatchService(
        cloud.registry, cloud.profiles, cloud.lake, cloud.ledger, print, cloud.settings, lambda: cloud.now
    )
    assert watch.watch()["events"] == 40

    cloud.lake.put("customers/a.csv", as_csv(customers(8_000, seed=5)))
    answer = TrainingService(cloud.lake, cloud.registry, cloud.ledger, cloud.settings, lambda: cloud.now).train(
        "t", 600
    )
    manifest = cloud.registry.manifest(LEAF, answer["version"])
    report = json.loads(cloud.registry.read(manifest, "report.json"))
    assert report["average_precision"]["champion"] > 0.15
    assert "average precision" in answer["reason"]


def test_an_older_directory_scores_a_file_and_explains_it_or_says_that_it_cannot(cloud, tmp_path, monkeypatch, capsys):
    manifest = cloud.registry.manifest(LEAF, cloud.registry.champion(LEAF).version)
    for name in manifest.files:
        (tmp_path / name).write_bytes(cloud.registry.read(manifest, name))
    own = {name: stored.model_copy(update={"key": name}) for name, stored in manifest.files.items()}
    (tmp_path / "manifest.json").write_text(manifest.model_copy(update={"files": own}).model_dump_json())
    (tmp_path / "in.csv").write_bytes(as_csv(customers(60, seed=2)))
    command = [
        "trefoil",
        "classifier",
        "score",
        str(tmp_path),
        str(tmp_path / "in.csv"),
        "--out",
        str(tmp_path / "o.csv"),
    ]
    explains = EXPLANATION_FILE in manifest.files
    for more, status in ([], 0), (["--explain"], 0 if explains else 2):
        monkeypatch.setattr("sys.argv", [*command, *more, "--json"])
        assert console.run(app) == status
        answer = json.loads(capsys.readouterr().out)
        assert answer["scored"] == 60 if status == 0 else "train it again" in answer["error"]
