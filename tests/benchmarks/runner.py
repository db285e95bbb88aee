"""What a benchmark is made of: rows with their peer and target, measured in child processes, printed as one table.

A module of this package that is named for a leaf or a layer has `rows(quick) -> Iterator[Row]`.
`python -m tests.benchmarks` runs them.
"""

import json
import multiprocessing
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

# What an API in Lambda is made of, without anything of ours.
BARE = """
import time
started = time.perf_counter()
import boto3, fastapi, mangum
from aws_lambda_powertools import Logger, Metrics
boto3.client("s3"), boto3.client("dynamodb")
print(time.perf_counter() - started)
"""
LEAVES = ("clustering", "forecasting", "classification", "tables")


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is how many times better than the peer we are, with its lowest and highest over repeats."""

    name: str
    ours: float
    unit: str
    target: str
    met: bool
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Measured:
    """What a call in a process of its own returned and took; `grown_mb` leaves out what the process had before it."""

    value: Any
    seconds: float
    peak_mb: float
    grown_mb: float


def row(
    name: str,
    ours: list[float],
    unit: str,
    target: str,
    met: Callable[[float, float | None], bool],
    *,
    peer: list[float] | None = None,
    peer_name: str = "",
    smaller_is_better: bool = True,
) -> Row:
    """A row from repeats: medians, the ratio of each pair of repeats, and `met(ours, ratio)`."""
    figure = statistics.median(ours)
    if not peer:
        return Row(name, figure, unit, target, met(figure, None))
    pairs = zip(ours, peer, strict=False)
    ratios = [theirs / mine if smaller_is_better else mine / theirs for mine, theirs in pairs if mine and theirs]
    ratio = statistics.median(ratios) if ratios else None
    spread = (min(ratios), max(ratios)) if ratios else None
    other = statistics.median(peer)
    return Row(name, figure, unit, target, met(figure, ratio), other, peer_name, ratio, spread)


def beside_bare_imports(name: str, start: Callable[[], float], repeats: int, most: float, **environment: str) -> Row:
    """`start`, seconds of a fresh process to its first answer, in turns with one that only imports (`BARE`)."""
    command, pairs = [sys.executable, "-c", BARE], []
    for _ in range(repeats + 1):
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        pairs.append((start(), float(done.stdout)))
    ours, bare = map(list, zip(*pairs[1:], strict=True))  # the first compiles
    target = f"at most {most:g} of bare imports"
    return row(
        name, ours, "s", target, lambda _, ratio: bool(ratio and ratio * most >= 1), peer=bare, peer_name="bare imports"
    )


def measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Call a module-level function in a fresh process: its value, wall time and peak memory (imports not timed)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, function, arguments))
    child.start()
    theirs.close()
    try:
        ok, value, seconds, peak, grown = ours.recv()
    except EOFError:
        ok, value, seconds, peak, grown = False, "the process died", 0.0, 0.0, 0.0
    child.join()
    if not ok:
        raise RuntimeError(f"{function.__name__}: {value}")
    return Measured(value, seconds, peak, grown)


def _child(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before, started = _peak_mb(), time.perf_counter()
    try:
        value, ok = function(*arguments), True
    except Exception as exc:  # noqa: BLE001 - told to the parent, which raises
        value, ok = repr(exc), False
    seconds, peak = time.perf_counter() - started, _peak_mb()
    pipe.send((ok, value, seconds, peak, peak - before))


def _peak_mb() -> float:
    """Of this program alone: what `getrusage` tells began with the peak of the process that started it."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def collect(leaves: Iterable[str], *, quick: bool) -> Iterator[tuple[str, Row]]:
    """Rows of each leaf as they are measured; a leaf without benchmarks is passed over."""
    here = Path(__file__).parent
    for leaf in leaves:
        if (here / f"{leaf}.py").exists():
            module = import_module(f"tests.benchmarks.{leaf}")
            for found in module.rows(quick):
                yield leaf, found


def line(leaf: str, found: Row) -> str:
    """One line of the printed table."""
    peer = "" if found.peer is None else f"{found.peer:,.4g} {found.peer_name}"
    ratio = "" if found.ratio is None else f"x{found.ratio:.3g}"
    if found.spread:
        ratio += f" ({found.spread[0]:.3g} to {found.spread[1]:.3g})"
    verdict = "met" if found.met else "MISSED"
    figure = f"{found.ours:,.4g} {found.unit}"
    return f"{leaf:14} {found.name:58} {figure:>14}  {peer:34} {ratio:26} {found.target:34} {verdict}"


HEADER = f"{'leaf':14} {'figure':58} {'ours':>14}  {'peer':34} {'times better (spread)':26} {'target':34} verdict"


def save(results: list[tuple[str, Row]], path: Path, *, quick: bool) -> None:
    """Write every row, and what it ran on, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "quick": quick,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": [{"leaf": leaf, **asdict(found)} for leaf, found in results],
    }
    path.write_text(json.dumps(body, indent=1, default=float) + "\n")
