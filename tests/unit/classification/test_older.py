"""A version that was stored before boosted trees, explanations and expected quality: it answers and is compared."""

import copy
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from cli import console
from cli.main import app
from functions.classification.contracts import LEAF, MODEL_FILE
from functions.classification.domain import schema
from functions.classification.learn import TrainingService
from functions.classification.simulate import customers, events
from functions.classification.watch import WatchService
from tests.classification import Cloud, records
from tests.tables import as_csv

VERSION = "0123456789abcdef"


@pytest.fixture(scope="module")
def older(package):
    """A forest with an input for each column, and a manifest without what has been added since."""
    trained = package.trained
    features = trained.model.specification.features
    learnt = trained.rows.take(trained.parts.learn)
    inputs, _ = schema.encode(learnt.columns, features)
    frame = pd.DataFrame({name: values.ravel() for name, values in inputs.items()})
    words = [f"c{i}" for i, feature in enumerate(features) if feature.kind == "category"]
    encode = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words)], remainder="passthrough"
    )
    forest = RandomForestClassifier(20, max_depth=3, random_state=0)
    pipeline = Pipeline([("encode", encode), ("forest", forest)]).fit(frame, learnt.y)
    types = [
        (name, StringTensorType([None, 1]) if name in words else FloatTensorType([None, 1])) for name in frame.columns
    ]
    body = to_onnx(pipeline, initial_types=types, options={id(forest): {"zipmap": False}}, target_opset=17)
    about = copy.deepcopy(package.about)
    for added in ("inputs", "left_out"):
        del about["details"][added]
    for name in ("scores", "probabilities"):
        del about["details"]["calibration"][name]
    for reference in (*about["details"]["references"], about["details"]["score_reference"]):
        del reference["rows"], reference["unknown"]
    report = {name: {"model": 0.7, "dummy": 0.5, "logistic": 0.6, "champion": None} for name in about["metrics"]}
    return {MODEL_FILE: body.SerializeToString(), "report.json": json.dumps(report).encode()}, about


@pytest.fixture
def cloud(older) -> Cloud:
    files, about = older
    made = Cloud()
    made.registry.publish(LEAF, VERSION, files, data_hash="d", **about)
    made.registry.promote(LEAF, VERSION, expected=None, reason="then")
    return made


def test_an_older_champion_answers_messages_is_watched_and_is_compared_with_a_candidate(cloud):
    assert cloud.scoring().score(records(events(customers(40, seed=3))), lambda: 60.0) == []
    assert {item["model_version"] for item in cloud.results.items.values()} == {VERSION}
    assert np.std([item["probability"] for item in cloud.results.items.values()]) > 0.001
    watch = WatchService(
        cloud.registry, cloud.profiles, cloud.lake, cloud.ledger, print, cloud.settings, lambda: cloud.now
    )
    assert watch.watch()["events"] == 40

    cloud.lake.put("customers/a.csv", as_csv(customers(3_000, seed=5)))
    answer = TrainingService(cloud.lake, cloud.registry, cloud.ledger, cloud.settings, lambda: cloud.now).train(
        "t", 600
    )
    manifest = cloud.registry.manifest(LEAF, answer["version"])
    report = json.loads(cloud.registry.read(manifest, "report.json"))
    assert report["average_precision"]["champion"] > 0.15
    assert "average precision" in answer["reason"]


def test_an_older_directory_scores_a_file_and_says_that_it_explains_nothing(older, tmp_path, monkeypatch, capsys):
    files, about = older
    stored = {n: {"key": n, "sha256": hashlib.sha256(b).hexdigest(), "bytes": len(b)} for n, b in files.items()}
    manifest = {"leaf": LEAF, "version": VERSION, "created_at": "2026-01-31T12:00:00Z", "data_hash": "d", **about}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"files": stored}))
    (tmp_path / MODEL_FILE).write_bytes(files[MODEL_FILE])
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
    for more, status in ([], 0), (["--explain"], 2):
        monkeypatch.setattr("sys.argv", [*command, *more, "--json"])
        assert console.run(app) == status
        answer = json.loads(capsys.readouterr().out)
        assert answer["scored"] == 60 if not more else "train it again" in answer["error"]
