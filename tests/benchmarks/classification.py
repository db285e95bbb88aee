"""Scoring speed beside scikit-learn row by row, cold start, files, quality beside HistGradientBoosting and the book."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from imblearn.over_sampling import SMOTE
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

from functions.classification import files
from functions.classification import learn as learning
from functions.classification.domain import fit, learners, metrics, schema
from functions.classification.domain.fit import Parameters
from functions.classification.domain.model import Model, calibrated
from functions.classification.domain.splits import label
from functions.classification.domain.table import PRESETS
from functions.classification.files import read_file
from functions.classification.learn import Package, TrainingService
from functions.classification.serve import read_messages, score_messages
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from tests.benchmarks.runner import Row, beside_bare_imports, measured, row
from tests.classification import NOW, Cloud
from tests.classification import records as messages_of
from tests.tables import as_csv

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TREFOIL_REAL_DATA", ROOT.parent / "shared" / "data"))
REAL = DATA / "customers" / "bank.csv"
TAXI = [DATA / "rides" / f"green_tripdata_2020-{month}.parquet" for month in ("06", "07")]
AFTERWARDS = ("payment_type", "tip_amount", "total_amount")  # known when the ride has been paid for
LATEST = datetime(2030, 1, 1, tzinfo=UTC)
T_95 = {8: 2.365, 20: 2.093}


def rows(quick: bool) -> Iterator[Row]:
    """Speed of the model that 45,211 customers give (quick: 4,521), then quality."""
    package = learn(customers(4_521 if quick else 45_211, 1), Parameters(iterations=1))
    yield from speed(package, repeats=3 if quick else 7)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        save(package, directory)
        yield from cold_start(directory, repeats=3 if quick else 9)
        yield from file_of(200_000 if quick else 1_000_000, directory, Path(folder))
    if REAL.exists():
        yield from quality(splits=8 if quick else 20, iterations=1 if quick else 8)
    if all(map(Path.exists, TAXI)):
        yield from in_both_orders(every=10 if quick else 2, iterations=4)
    yield from recovery(waves=3 if quick else 4, iterations=2 if quick else 8)


def learn(table: Any, parameters: Parameters) -> Package:
    """A model of simulated customers."""
    labelled, target = label(table.to_pydict(), "y", without=["duration"])
    return learning.learn(labelled, target, parameters)


def save(package: Package, directory: Path) -> None:
    """As the command line does."""
    directory.mkdir()
    files.save_model(package, directory)


def cpu(function: Any, *arguments: Any) -> float:
    """Processor seconds of one call."""
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def speed(package: Package, *, repeats: int) -> Iterator[Row]:
    """Per core: processor time, one thread."""
    model, fitted = package.trained.model, package.trained.fitted
    features = model.specification.features
    table = customers(1_000, 2)
    x, _ = schema.encode(table.to_pydict(), features)
    one = x[:1]
    model.score(x)
    ours = [1_000 / cpu(model.score, x) for _ in range(repeats)]
    theirs = [5 / cpu(lambda: [learners.predict(fitted, x[i : i + 1]) for i in range(5)]) for _ in range(repeats)]
    yield row(
        "scoring, batches of 1,000",
        ours,
        "events/s",
        ">= 40,000",
        lambda figure, _: figure >= 40_000,
        peer=theirs,
        peer_name="the learner itself by row",
        smaller_is_better=False,
    )
    single = [1_000 * cpu(lambda: [model.score(one) for _ in range(100)]) / 100 for _ in range(repeats)]
    yield row("scoring, one event", single, "ms", "<= 2 ms", lambda figure, _: figure <= 2)
    batch = messages_of(events(table))

    def handle() -> None:
        messages, _ = read_messages(batch, latest=LATEST)
        score_messages(messages, model, NOW, 90)

    whole = [1_000 / cpu(handle) for _ in range(repeats)]
    yield row("validate, score, build items", whole, "events/s", ">= 5,000", lambda figure, _: figure >= 5_000)


COLD = """
import time
began = time.perf_counter()
import sys, json
from pathlib import Path
from functions.classification import handler
from functions.classification.serve import read_messages, score_messages
from functions.classification.store import load_model
from layers.storage.manifest import Manifest
from datetime import UTC, datetime
handler.build_scoring()
manifest = Manifest.model_validate_json((Path(sys.argv[1]) / "manifest.json").read_bytes())
model = load_model(manifest, lambda name: (Path(sys.argv[1]) / name).read_bytes())
now = datetime.now(UTC)
messages, _ = read_messages(json.loads(sys.argv[2]), latest=now)
scored = score_messages(messages, model, now, 90)
seconds = time.perf_counter() - began
assert len(scored.results) == 10
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([seconds, int(peak.split()[1]) / 1024]))
"""


def cold_start(directory: Path, *, repeats: int) -> Iterator[Row]:
    """A fresh process with compiled bytecode: imports, clients, model, first batch of ten."""
    batch = json.dumps(messages_of(events(customers(10, 3))))
    with tempfile.TemporaryDirectory() as compiled:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": compiled, "AWS_DEFAULT_REGION": "eu-west-1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command, resident = [sys.executable, "-c", COLD, str(directory), batch], []

        def start() -> float:
            done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
            seconds, memory = json.loads(done.stdout)
            resident.append(memory)
            return float(seconds)

        yield beside_bare_imports("import, model and first batch", start, repeats, 0.9, **environment)
    yield row("resident memory when serving", resident, "MB", "<= 300 MB", lambda figure, _: figure <= 300)


def score_large(directory: str, source: str, out: str) -> int:
    """Rows scored of a file; run in a process of its own."""
    model = files.load_directory(Path(directory))
    return [counted.rows - len(counted.rejected) for counted in files.score_file(model, Path(source), Path(out))][-1]


def file_of(count: int, directory: Path, folder: Path) -> Iterator[Row]:
    """`trefoil classifier score` on a large CSV."""
    source = folder / "large.csv"
    pyarrow.csv.write_csv(customers(count, 4), source)
    found = measured(score_large, str(directory), str(source), str(folder / "scored.csv"))
    if found.value != count:
        raise RuntimeError(f"{found.value} of {count} rows were scored")
    limit = 60 * count / 1_000_000
    yield row(f"score a file of {count:,} rows", [found.seconds], "s", f"<= {limit:g} s", lambda s, _: s <= limit)
    yield row("its peak memory", [found.peak_mb], "MB", "<= 2,000 MB", lambda mb, _: mb <= 2_000)


def quality(*, splits: int, iterations: int) -> Iterator[Row]:
    """bank.csv without `duration`, repeated splits of 80 % and 20 %; all learn from the same 80 %."""
    labelled, _ = label(read_file(REAL).values, "y", without=PRESETS["bank"]["afterwards"])
    features, _ = schema.infer(labelled.columns)
    x, y = schema.encode(labelled.columns, features)[0], labelled.y
    found, truth, probabilities = [], [], []
    for seed in range(splits):
        known, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=y)
        parameters = Parameters(iterations=iterations, seed=seed)
        work = fit.Work(x[known], y[known], np.arange(len(known)), False, features, parameters)
        search = fit.search_options(work)
        calibration = fit.calibrate(work.out_of_fold(search.chosen), work.y)
        p = calibrated(learners.predict(work.fit(search.chosen), x[test]), calibration)
        scores = (p, boosted(x, y, features, known, test, seed), book(x, y, features, known, test, seed))
        found.append([metrics.average_precision(y[test], score) for score in scores])
        truth.append(y[test])
        probabilities.append(p)
    ours, boosting, recipe = np.array(found).T
    gain = ours - boosting
    mean, error = float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(splits))
    yield Row(
        "bank.csv: average precision, less the peer's",
        mean,
        f"± {T_95[splits] * error:.3f}",
        ">= 0 (mean)",
        mean >= 0,
        float(boosting.mean()),
        f"HistGradientBoosting (ours {ours.mean():.3f})",
    )
    above = float((ours - recipe).mean())
    yield Row(
        "bank.csv: average precision above the book's",
        above,
        "",
        ">= 0.05",
        above >= 0.05,
        float(recipe.mean()),
        "eight columns, SMOTE, forest",
    )
    off = metrics.calibration_error(np.concatenate(truth), np.concatenate(probabilities))
    yield Row("bank.csv: calibration error, pooled", off, "", "<= 0.02", off <= 0.02)


def boosted(x: Any, y: Any, features: Any, known: Any, test: Any, seed: int) -> Any:
    """scikit-learn's gradient boosting with its native categories."""
    words = [own[0] for one, own in zip(features, schema.places(features), strict=True) if one.kind == "category"]
    model = HistGradientBoostingClassifier(categorical_features=words, random_state=seed)
    return model.fit(x[known], y[known]).predict_proba(x[test])[:, 1]


def book(x: Any, y: Any, features: Any, known: Any, test: Any, seed: int) -> Any:
    """The book's eight columns, one-hot, resampled with SMOTE, in a random forest."""
    named = zip(features, schema.places(features), strict=True)
    chosen = [place for feature, own in named if feature.name in PRESETS["bank"]["book"] for place in own]
    encoded = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit_transform(x[:, chosen])
    more, labels = SMOTE(random_state=seed).fit_resample(encoded[known], y[known])
    return RandomForestClassifier(random_state=seed).fit(more, labels).predict_proba(encoded[test])[:, 1]


def recovery(*, waves: int, iterations: int) -> Iterator[Row]:
    """The population moves; each wave of 1,000 events is scored, its outcomes arrive, and training runs."""
    cloud = Cloud(settings=ClassificationSettings(iterations=iterations))
    cloud.lake.put("customers/a.csv", as_csv(customers(4_000, 1)))
    later = customers(8_000, 99, moved=1.0)

    def champion_precision() -> float:
        service = TrainingService(cloud.lake, cloud.registry, cloud.ledger, cloud.settings, lambda: cloud.now)
        service.train("bench", 900)
        return precision_on(cloud.champion(), later)

    static = champion_precision()
    for wave in range(waves):
        table, start = customers(1_000, 100 + wave, moved=1.0), cloud.now - timedelta(hours=6)
        cloud.scoring().score(messages_of(events(table, seed=wave, start=start)), lambda: 600.0)
        lines = [
            {"user_id": f"user-{i:07d}", "observed_at": (start + timedelta(seconds=i)).isoformat(), "outcome": y}
            for i, y in enumerate(table["y"].to_pylist())
        ]
        cloud.lake.put(f"outcomes/dt={start.date()}/{wave}.jsonl", "\n".join(map(json.dumps, lines)).encode())
        retrained = champion_precision()
        cloud.now += timedelta(days=1)
    fresh = precision_on(learn(customers(4_000, 7, moved=1.0), Parameters(iterations=iterations)).trained.model, later)
    yield Row(
        "moved population: average precision after training",
        retrained,
        "",
        ">= 0.8 of a new model, > static",
        retrained >= 0.8 * fresh and retrained > static,
        fresh,
        f"new model (static {static:.3f})",
        retrained / fresh,
    )


def in_both_orders(*, every: int, iterations: int) -> Iterator[Row]:
    """Rides of two months (each `every`th) that were paid in cash or by card; 80 % are learned from, drawn or first."""
    rides = pa.concat_tables([pq.read_table(path) for path in TAXI]).to_pandas()
    rides = rides[rides["payment_type"].isin([1, 2])].sort_values("lpep_pickup_datetime", kind="stable")[::every]
    started = pd.to_datetime(rides.pop("lpep_pickup_datetime"))
    rides["minutes"] = (pd.to_datetime(rides.pop("lpep_dropoff_datetime")) - started).dt.total_seconds() / 60
    rides["hour"], rides["weekday"] = started.dt.hour, started.dt.dayofweek.astype(str)
    places = rides[["PULocationID", "DOLocationID", "VendorID", "RatecodeID"]].astype(str)
    y = (rides["payment_type"] == 1).to_numpy()
    columns = rides.drop(columns=list(AFTERWARDS)).assign(**places)
    raw = {name: [None if pd.isna(cell) else cell for cell in columns[name].tolist()] for name in columns}
    features, _ = schema.infer(raw)
    x, _ = schema.encode(raw, features)
    for name in ("shuffled", "in time order"):
        ordered = name != "shuffled"
        order = np.arange(len(y)) if ordered else np.random.default_rng(0).permutation(len(y))
        known, test = np.split(order, [int(0.8 * len(y))])
        work = fit.Work(x[known], y[known], np.arange(len(known)), ordered, features, Parameters(iterations=iterations))
        ours = metrics.average_precision(y[test], learners.predict(work.fit(fit.search_options(work).chosen), x[test]))
        theirs = metrics.average_precision(y[test], boosted(x, y, features, known, test, 0))
        gain = ours - theirs
        peer = f"HistGradientBoosting (ours {ours:.3f})"
        yield Row(
            f"{len(y):,} rides {name}: average precision, less", gain, "", ">= -0.005", gain >= -0.005, theirs, peer
        )


def precision_on(model: Model, table: Any) -> float:
    """Average precision of a model on simulated customers."""
    features = model.specification.features
    x, _ = schema.encode({f.name: table[f.name].to_pylist() for f in features}, features)
    return metrics.average_precision(np.array(table["y"].to_pylist()) == "yes", model.score(x))
