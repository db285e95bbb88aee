"""Answers in milliseconds, training speed, and accuracy beside the baselines, the book's Prophet and statsforecast."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.csv as csv

from functions.forecasting import simulate
from functions.forecasting.contracts import FrequencyName
from functions.forecasting.domain import baselines, fit, report, table
from functions.forecasting.domain.frequency import RHYTHMS
from functions.forecasting.domain.series import Series
from infra.local import cloud as local
from infra.local.emulator import environment
from tests.benchmarks.runner import Row, beside_bare_imports, measured, row

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("TREFOIL_REAL_DATA", ROOT.parent / "shared" / "data")) / "sales"
HOLDOUT = 56
WINDOW, WINDOWS = 42, 4
FREQUENCIES: dict[FrequencyName, str] = {"H": "hourly", "W": "weekly", "M": "monthly", "Q": "quarterly"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = {"models": ("leaf", "version"), "runs": ("job", "key"), "forecasts": ("series_id", "item")}


def rows(quick: bool) -> Iterator[Row]:
    """Speed first, on the local cloud without the stacks; then training and quality."""
    with cloud() as environment:
        yield from answers(environment, quick=quick)
    yield from speed(quick=quick)
    yield from quality("simulated", simulated(20 if quick else 200, seed=11), quick=quick)
    for kind, name in FREQUENCIES.items():
        # A series has few held-out months or quarters: coverage of 40 differs from draw to draw by .013.
        many = 200 if kind in "MQ" else 40
        yield from rhythm(name, simulated(8 if quick else many, seed=2, kind=kind))
    if REAL.exists():
        nn5, peyton = real("nn5_daily.csv.gz"), real("peyton_manning.csv")
        yield from quality("NN5", nn5[::6] if quick else nn5, quick=quick)
        yield from rolling([nn5[::12] if quick else nn5[::4], peyton])


def real(name: str) -> list[Series]:
    """The series of a file of real sales."""
    with (REAL / name).open("rb") as source:
        return table.read(source, name).series


def simulated(stores: int, *, seed: int, kind: FrequencyName = "D") -> list[Series]:
    """Stores of 780 observed days, or as many periods as are usual, with three regressors."""
    sink = io.BytesIO()
    csv.write_csv(simulate.table(stores, simulate.SPANS[kind][0], 0, seed, kind)[0], sink)
    sink.seek(0)
    return table.read(sink, "simulated.csv").series


@contextmanager
def cloud() -> Iterator[dict[str, str]]:
    """An emulator with the leaf's buckets and tables; gives the environment of a function."""
    with (
        tempfile.TemporaryDirectory() as folder,
        local.running(lambda _: None, home=Path(folder) / "home", deploy=False) as running,
    ):
        for bucket in ("lake", "models"):
            running.client("s3").create_bucket(Bucket=bucket)
        for name, key in TABLES.items():
            running.client("dynamodb").create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
                KeySchema=[{"AttributeName": p, "KeyType": t} for p, t in zip(key, ("HASH", "RANGE"), strict=True)],
            )
        own = {f"TREFOIL_{name.upper()}_TABLE": name for name in TABLES}
        own |= {"TREFOIL_LAKE_BUCKET": "lake", "TREFOIL_MODELS_BUCKET": "models"}
        kept = {k: v for k, v in environment(running.endpoint).items() if k != "PYTHONDONTWRITEBYTECODE"}
        yield kept | own | {"OMP_NUM_THREADS": "1", "POWERTOOLS_LOG_LEVEL": "CRITICAL"}


def answers(environment: dict[str, str], *, quick: bool) -> Iterator[Row]:
    """Each row is measured in the handler, in processes of their own that see the local cloud."""
    stocked = _child(environment, "stock", 40)
    figures: dict[str, list[float]] = {}
    for _ in range(2 if quick else 5):
        for name, values in _child(environment, "ask", 30 if quick else 200).items():
            figures.setdefault(name, []).extend(values)
    memory = np.array(figures["memory"]) * 1e3
    yield _figure("forecast from memory, p50", np.quantile(memory, 0.5), "ms", 3)
    yield _figure("forecast from memory, p99", np.quantile(memory, 0.99), "ms", 15)
    yield _figure("forecast from the table, p50", np.median(figures["table"]) * 1e3, "ms", 15)
    yield _figure("computed from a stored model, p50", np.median(figures["computed"]) * 1e3, "ms", 60)
    yield _figure("approximated, 780 days without a model, p50", np.median(figures["spot"]) * 1e3, "ms", 700)
    for name, most in (("cached", 0.9), ("computed", 1.2)):

        def start(name: str = name) -> float:
            return float(_child(environment, "first", name)["seconds"])

        yield beside_bare_imports(f"fresh process, first {name} answer", start, 5 if quick else 9, most, **environment)
    yield _figure("ingest of 40 stores, 31,200 rows", stocked["ingest"], "s", 900 * 31.2 / 1000)


def _figure(name: str, ours: Any, unit: str, most: float) -> Row:
    return row(name, [float(ours)], unit, f"<= {most:g}", lambda value, _: value <= most)


def _child(environment: dict[str, str], job: str, argument: Any) -> Any:
    command = [sys.executable, "-m", "tests.benchmarks.forecasting_child", job, str(argument)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def train_all(stores: int) -> dict[str, Any]:
    """Train stores one after the other, as a shard does: speed, memory grown after the first quarter, files left."""
    process = psutil.Process()  # what is held now: the highest mark would hide growth below what simulating took
    series = simulated(stores, seed=5)
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        fit.train(series[0], history="", holdout=HOLDOUT, now=NOW)
        early, started = 0.0, time.perf_counter()
        for i, one in enumerate(series):
            fit.train(one, history="", holdout=HOLDOUT, now=NOW)
            if i == stores // 4:
                early = process.memory_info().rss / 2**20
        seconds = time.perf_counter() - started
        grown = process.memory_info().rss / 2**20 - early
        left = sum(1 for path in Path(folder).rglob("*") if path.is_file())
        tempfile.tempdir = None
    return {"rate": stores / seconds, "grown": grown, "left": left}


def speed(*, quick: bool) -> Iterator[Row]:
    """Training on one core."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    stores = 20 if quick else 1000
    got = measured(train_all, stores).value
    yield row("training, folds and gate included", [got["rate"]], "series/s", ">= 1.5", lambda v, _: v >= 1.5)
    yield _figure(f"memory grown while training {stores:,} series", got["grown"], "MB", 20)
    yield _figure("files left in /tmp after training", got["left"], "files", 0)


def quality(name: str, series: list[Series], *, quick: bool) -> Iterator[Row]:
    """WAPE over the last 56 days, mean over series, of what is served and of its rivals."""
    learned = fit.share(series, HOLDOUT, rows=400_000, threads=2)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(partial(_served, learned), series))
    served = float(np.mean([o.trained.backtest.wape for o in outcomes]))
    folds = [fit.fold(one, one.observed - HOLDOUT, one.observed) for one in series]
    rivals = {
        kind: float(np.mean([report.wape(f.y, baselines.predict(kind, f.frame)) for f in folds]))
        for kind in baselines.BASELINES
    }
    better = min(rivals, key=lambda kind: rivals[kind])
    book = float(np.mean([report.wape(f.y, book_prophet(f)) for f in folds]))
    below, versus_book = (0.92, 0.90) if name == "simulated" else (1.0, 1.02)
    yield _against(f"{name}: WAPE of what is served", served, rivals[better], better, below)
    yield _against(f"{name}: WAPE of what is served", served, book, "book's Prophet", versus_book)
    share = float(np.mean([o.trained.kind in ("prophet", "global", "blend") for o in outcomes]))
    yield row(f"{name}: share served by a model", [share], "", ">= 0.5", lambda v, _: v >= 0.5)
    yield _coverage(name, np.mean([o.trained.backtest.coverage for o in outcomes]))
    if not quick:
        yield from _statsforecast(name, folds, served)


def rhythm(name: str, series: list[Series]) -> Iterator[Row]:
    """WAPE over the last periods, mean over series, beside the better of seasonal naive and default Prophet."""
    kind = RHYTHMS[series[0].frequency.kind]
    held = min(kind.horizon, kind.holdout[1])
    served, rival, coverage = _rivals(series, held)
    better = min(("seasonal naive", "default Prophet"), key=lambda peer: rival[peer].mean())
    yield _against(f"{name}, simulated: WAPE of what is served", served.mean(), rival[better].mean(), better, 0.97)
    yield _coverage(f"{name}, simulated", coverage.mean())


def rolling(groups: list[list[Series]]) -> Iterator[Row]:
    """Real daily series, each without its last 0 to 3 windows of 42 days: how often and by how much we are nearer than
    the better of seasonal naive and default Prophet, each of which is better in some windows."""
    cuts = [[one.until(one.observed - back * WINDOW) for one in group] for group in groups for back in range(WINDOWS)]
    parts = [_rivals(cut, WINDOW) for cut in cuts]
    served, coverage = (np.concatenate([part[i] for part in parts]) for i in (0, 2))
    rival = {peer: np.concatenate([part[1][peer] for part in parts]) for peer in parts[0][1]}
    better = min(rival, key=lambda peer: rival[peer].mean())
    name = f"{len(served)} real windows"
    yield _against(f"{name}: WAPE of what is served", served.mean(), rival[better].mean(), better, 1.0)
    won = (served < rival[better]).mean()
    yield row(f"{name}: won against {better}", [float(won)], "", ">= 0.6", lambda v, _: v >= 0.6)
    yield _coverage(name, coverage.mean())


def _rivals(series: list[Series], held: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """WAPE on the last `held` periods of what is served and of each peer, and the coverage, one value a series."""
    learned = fit.share(series, held, rows=400_000, threads=2)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(partial(_served, learned, held=held), series))
    reports = [outcome.trained.backtest for outcome in outcomes]
    folds = [fit.fold(one, one.observed - held, one.observed) for one in series]
    peers: dict[str, Callable[[fit.Fold], Any]] = {
        "seasonal naive": lambda fold: baselines.predict(baselines.SEASONAL_NAIVE, fold.frame),
        "default Prophet": book_prophet,
    }
    rival = {peer: np.array([report.wape(f.y, ask(f)) for f in folds]) for peer, ask in peers.items()}
    return np.array([one.wape for one in reports]), rival, np.array([one.coverage for one in reports])


def _coverage(name: str, share: float) -> Row:
    return row(
        f"{name}: coverage of the 95 % interval", [float(share)], "", "0.90 to 0.98", lambda v, _: 0.9 <= v <= 0.98
    )


def _served(learned: fit.Shared | str, one: Series, *, held: int = HOLDOUT) -> fit.Outcome:
    return fit.train(one, history="", holdout=held, now=NOW, shared=learned)


def _against(name: str, ours: float, theirs: float, peer: str, most: float) -> Row:
    met: Callable[[float, float | None], bool] = lambda v, _: v <= most * theirs  # noqa: E731
    return row(name, [ours], "", f"<= {most:g} of the peer's", met, peer=[theirs], peer_name=peer)


def book_prophet(fold: fit.Fold) -> Any:
    """Prophet with its defaults on the raw sales, as the book has it; closed days are known to be zero."""
    import pandas as pd
    from prophet import Prophet

    past = pd.DataFrame({"ds": fold.frame.times[: fold.frame.start], "y": fold.frame.y[: fold.frame.start]}).dropna()
    fitted = Prophet(uncertainty_samples=0).fit(past)
    yhat = fitted.predict(pd.DataFrame({"ds": pd.to_datetime(fold.times)}))["yhat"].to_numpy()
    return np.maximum(yhat, 0.0) * (fold.frame.open[fold.frame.start :] > 0)


def _statsforecast(name: str, folds: list[fit.Fold], served: float) -> Iterator[Row]:
    """AutoETS and seasonal naive in an environment of their own; left out, and said so, where it cannot be made."""
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "given.json", Path(folder) / "taken.json"
        given.write_text(
            json.dumps([[None if v != v else v for v in f.frame.y[: f.frame.start].tolist()] for f in folds])
        )
        # The checkout's own where none is installed.
        command = [shutil.which("uv") or str(ROOT / ".uv/bin/uv"), "run", "--isolated", "--frozen", "--script"]
        command += [str(Path(__file__).with_name("statsforecast_peer.py")), str(given), str(taken), str(HOLDOUT)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"statsforecast could not be run: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return
        answer = json.loads(taken.read_text())
    for model, forecasts in answer["forecasts"].items():
        opened = [
            np.where(f.frame.open[f.frame.start :] > 0, yhat, 0.0) for f, yhat in zip(folds, forecasts, strict=True)
        ]
        theirs = float(np.mean([report.wape(f.y, yhat) for f, yhat in zip(folds, opened, strict=True)]))
        rate = len(folds) / answer["seconds"][model]
        yield _against(f"{name}: WAPE of what is served", served, theirs, f"{model} ({rate:.3g} series/s)", 1.0)
