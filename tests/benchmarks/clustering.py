"""Speed, memory and quality of the clustering leaf, beside scikit-learn's DBSCAN, the better of isolation
forest and the distance to the 10th neighbour, and the book.

Seconds are of the processor, all threads and children: on one idle core they are what a clock shows.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from functions.clustering import simulate
from functions.clustering.domain.fit import fit
from functions.clustering.domain.model import Parameters, label
from tests.benchmarks.runner import Row, measured, row
from tests.conftest import ROOT
from tests.ride_quality import SAMPLE, book_recall, real_quality, real_rides

REAL = Path(os.environ.get("TREFOIL_REAL_DATA", ROOT.parent / "shared" / "data")) / "rides"
JUNE, JULY = REAL / "green_tripdata_2020-06.parquet", REAL / "green_tripdata_2020-07.parquet"
OLD = os.environ.get("TREFOIL_OLD", "")


def rows(quick: bool) -> Iterator[Row]:
    """Every figure of this leaf."""
    large = 1_000_000 if quick else 10_000_000
    yield from _arrays(large)
    yield from _files(large)
    yield from _against_dbscan(1 if quick else 3)
    yield from _function()
    yield from _simulated([4_000, 400_000], 3) if quick else _simulated([4_000, 40_000, 400_000, 4_000_000], 10)
    if JUNE.exists() and JULY.exists():
        yield from _real(1 if quick else 3)
    else:
        print(f"real months are not measured: {REAL} is not there", file=sys.stderr)


def _arrays(rides: int) -> Iterator[Row]:
    scale = rides / 10_000_000
    took = measured(label_arrays, rides)
    small = measured(label_arrays, rides // 10)
    limit = 12 * scale
    yield row(f"{rides:,} rides as arrays, labelled", [took.value], "s", f"under {limit:g} s", lambda s, _: s < limit)
    yield row(f"{rides:,} rides as arrays, peak", [took.peak_mb], "MB", "under 2,000 MB", lambda mb, _: mb < 2_000)
    ratio = took.value / small.value
    yield row("ten times the rides, times the seconds", [ratio], "times", "at most 11", lambda times, _: times <= 11)


def _files(rides: int) -> Iterator[Row]:
    """Beside the tree that TREFOIL_OLD names, such as a git worktree of an earlier commit, if it does."""
    limit = 40 * rides / 10_000_000 + (5 if rides < 10_000_000 else 0)  # starting processes does not shrink with rides
    for kind, count, most in (("Parquet", rides, limit), ("CSV", min(rides, 1_000_000), 15.0)):
        ours, theirs = [], []
        for _ in range(3 if OLD else 1):
            ours.append(measured(label_file, count, kind, str(ROOT)).value)
            theirs += [measured(label_file, count, kind, OLD).value] if OLD else []
        for place, what, unit, high, share in (
            (0, "seconds", "s", most, 0.7),
            (1, "largest process", "MB", 2_000, 1.0),
        ):
            target = f"at most {share:g} of the old one" if OLD else f"under {high:,.4g} {unit}"
            yield row(
                f"{count:,} rides, {kind} in, Parquet out, {what}",
                [one[place] for one in ours],
                unit,
                target,
                lambda value, ratio, high=high, share=share: value < high and (ratio is None or ratio >= 1 / share),
                peer=[one[place] for one in theirs] or None,
                peer_name=f"{unit}, {Path(OLD).name}" if OLD else "",
            )


def _against_dbscan(repeats: int) -> Iterator[Row]:
    ours = [measured(label_40k) for _ in range(max(3, repeats))]
    theirs = [measured(dbscan_40k) for _ in range(repeats)]
    yield row(
        "40,000 rides, fitted and labelled",
        [one.value[0] for one in ours],
        "s",
        "100 times faster",
        lambda _, ratio: bool(ratio and ratio >= 100),
        peer=[one.value[0] for one in theirs],
        peer_name="s sklearn DBSCAN",
    )
    yield row(
        "40,000 rides, memory beyond the rides",
        [max(1.0, one.value[1]) for one in ours],
        "MB",
        "a twentieth",
        lambda _, ratio: bool(ratio and ratio >= 20),
        peer=[one.value[1] for one in theirs],
        peer_name="MB sklearn DBSCAN",
    )


def _function() -> Iterator[Row]:
    took = measured(label_function)
    yield row("label function, 1,000,000 rides, peak", [took.peak_mb], "MB", "under 3,008 MB", lambda mb, _: mb < 3_008)


def _simulated(sizes: list[int], seeds: int) -> Iterator[Row]:
    base: tuple[float, float] | None = None
    for size in sizes:
        found = np.array([simulated_quality(size, seed) for seed in range(seeds)])
        recall, precision = found.mean(axis=0).tolist()
        base = base or (recall, precision)
        for name, value, floor, first in (("recall", recall, 0.5, base[0]), ("precision", precision, 0.75, base[1])):
            target = f"at least {floor}, within .05 of {first:.2f}"
            met = _kept(floor, first)
            yield row(f"simulated, {size:,} rides, {name}", [value], "", target, met)


def _kept(floor: float, first: float) -> Callable[[float, float | None], bool]:
    return lambda value, _: value >= floor and abs(value - first) <= 0.05


def _real(books: int) -> Iterator[Row]:
    months = {path: real_rides(path) for path in (JUNE, JULY)}
    for history, day in ((JUNE, JULY), (JULY, JUNE)):
        runs = [real_quality(months[history], months[day], seed) for seed in range(5)]
        peers = [max(sorted({*run} - {"ours"}), key=lambda peer, run=run: run[peer]) for run in runs]
        better = [run[peer] for run, peer in zip(runs, peers, strict=True)]
        book = [book_recall(months[day], seed) for seed in range(books)]
        for name, times, theirs in ((" or ".join({*peers}), 1.4, better), ("the book's flags", 10.0, book)):
            yield row(
                f"real month {day.stem[-7:]}, recall at 2 % flagged",
                [run["ours"] for run in runs],
                "",
                f"at least {times:g} times",
                lambda _, ratio, times=times: bool(ratio is None or ratio >= times),
                peer=theirs,
                peer_name=name,
                smaller_is_better=False,
            )


def label_arrays(rides: int) -> float:
    """CPU seconds to fit on a sample and label all, the best of three: neighbours only ever slow it."""
    dist, hours = _simulate(rides)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        _fit_and_label(dist, hours)
        seconds.append(time.process_time() - start)
    return min(seconds)


def label_40k() -> tuple[float, float]:
    """CPU seconds, the median of several, and MB grown."""
    dist, hours = _simulate(40_000)
    before, seconds = _peak_mb(), []
    for _ in range(7):
        start = time.process_time()
        _fit_and_label(dist, hours)
        seconds.append(time.process_time() - start)
    return sorted(seconds)[3], _peak_mb() - before


def dbscan_40k() -> tuple[float, float]:
    """The same rides by the book's recipe on all of them."""
    from sklearn.cluster import DBSCAN
    from sklearn.preprocessing import StandardScaler

    rides = np.column_stack(_simulate(40_000))
    before, start = _peak_mb(), time.process_time()
    DBSCAN(eps=0.3, min_samples=10).fit(StandardScaler().fit_transform(rides))
    return time.process_time() - start, _peak_mb() - before


def label_file(rides: int, kind: str, tree: str) -> tuple[float, float]:
    """CPU seconds and peak MB of the `trefoil anomalies` of `tree` and its workers on one file."""
    from cli.output import write_table

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rides.{kind.lower()}"
        write_table(simulate.rides(rides, 0), path)
        command = [sys.executable, "-c", "from cli.main import main; main()", "anomalies", str(path)]
        subprocess.run([*command, "--out", f"{folder}/out", "--json"], check=True, stdout=subprocess.DEVNULL, cwd=tree)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def label_function() -> None:
    """A day of one object of 1,000,000 rides through `fit` and `label`, the lake in this process's memory too."""
    import json

    from functions.clustering.contracts import DayRequest, PlanItem
    from tests.clustering import DAY as SOME_DAY
    from tests.clustering import World, key
    from tests.clustering import rides as simulated

    world = World()
    world.lake.put(key(SOME_DAY), simulated(1_000_000))
    answer = world.fitting.fit(DayRequest(dt=SOME_DAY))
    for item in json.loads(world.lake.get(answer.plan_key)):
        world.labelling.label(PlanItem.model_validate(item))


def simulated_quality(size: int, seed: int) -> tuple[float, float]:
    """Recall and precision on one draw of simulated rides."""
    table = simulate.rides(size, seed)
    flagged = _fit_and_label(table["ride_dist"].to_numpy(), table["ride_time"].to_numpy(), seed)
    abnormal = np.asarray(table["kind"].to_numpy() != "normal")
    return float(flagged[abnormal].mean()), float(abnormal[flagged].mean())


def _simulate(rides: int) -> tuple[np.ndarray, np.ndarray]:
    table = simulate.rides(rides, 0).select(["ride_dist", "ride_time"])
    return table["ride_dist"].to_numpy(), table["ride_time"].to_numpy()


def _fit_and_label(dist: Any, hours: Any, seed: int = 0) -> Any:
    chosen = np.random.default_rng(seed).choice(len(dist), min(SAMPLE, len(dist)), replace=False, shuffle=False)
    return label(fit(dist[chosen], hours[chosen], Parameters(), seed=seed), dist, hours).is_anomaly


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
