"""The report page: one picture that says how good a model is, beside its peers."""

import io
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from functions.classification.domain.candidate import Bools, Floats, Trained

COLOURS = {"model": "#1b6ca8", "logistic": "#d98c21", "dummy": "#8a8a8a", "champion": "#3a8f5b"}
SEGMENTS = {"leave": "#f3f3f3", "nurture": "#fbeed5", "target": "#d9ead9"}
SHOWN = ("average_precision", "roc_auc", "f1", "brier", "calibration_error", "threshold")
ROWS_PER_POINT = 25


def draw_report(trained: Trained, report: dict[str, Any]) -> bytes:
    """A PNG: precision over recall, calibration, scores with the segments, importance, the figures and the findings."""
    words = [line for finding in report["findings"] for line in textwrap.wrap(finding, 150)]
    words.insert(
        0, f"{report['rows']['test']:,} rows that nothing had seen, {trained.test.y.mean():.1%} of them positive."
    )
    peers = [peer for peer in COLOURS if report["roc_auc"].get(peer) is not None]
    heights = [3, 3, 0.35 * (len(peers) + 1)]
    with mpl.rc_context({"text.parse_math": False}):  # a name may hold any number of dollars
        figure = Figure(figsize=(11, sum(heights) + 1.5 + 0.2 * len(words)), layout="constrained")
        figure.suptitle(
            "\n".join([f"{_short(report['target'], 60)} = {_short(report['positive'], 40)}", *words]),
            x=0.01,
            ha="left",
            fontsize=10,
        )
        top = figure.subplot_mosaic([["pr", "cal"], ["hist", "imp"], ["table", "table"]], height_ratios=heights)
        _precision_recall(top["pr"], trained)
        _calibration(top["cal"], trained)
        _scores(top["hist"], trained, report)
        _importance(top["imp"], report)
        _table(top["table"], report, peers)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _entitle(axes: Axes, title: str) -> None:
    """Title and legend above the panel, where neither lies on data."""
    axes.set_title(title, loc="left", fontsize=11, pad=24)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=5,
        frameon=False,
        fontsize=9,
        borderpad=0.2,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _precision_recall(axes: Axes, trained: Trained) -> None:
    y = trained.test.y
    axes.axhline(y.mean(), color=COLOURS["dummy"], label="dummy", lw=1.2, ls=":")
    for name, p in reversed(list(trained.scores.items())):
        if name == "dummy":
            continue
        order = np.argsort(-p, kind="stable")
        last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
        hits = np.cumsum(y[order])[last]
        rises = np.diff(hits, prepend=0) > 0  # where precision counts in the average
        recall, precision = (hits / y.sum())[rises], (hits / (last + 1))[rises]
        style = {"lw": 1.8} if name == "model" else {"lw": 1.3, "ls": "--"}
        axes.step([0, *recall], [precision[0], *precision], where="pre", color=COLOURS[name], label=name, **style)
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.04), xlim=(0, 1))
    _entitle(axes, "Precision over recall")


def _calibration(axes: Axes, trained: Trained) -> None:
    groups = min(10, len(trained.test.y) // ROWS_PER_POINT)
    if groups < 2:
        _say(axes, "Calibration", f"too few rows: {len(trained.test.y)}")
        return
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, label="perfect")
    limit = 0.0
    for name in ("logistic", "model"):
        x, share = _means(trained.test.y, trained.scores[name], groups)
        axes.plot(x, share, "o-", color=COLOURS[name], ms=4, label=name)
        limit = max(limit, float(x.max()), float(share.max()))
    ends = (-0.03 * limit, 1.05 * limit)
    axes.set(xlabel=f"mean probability of up to {groups} groups of rows", ylabel="share positive", xlim=ends, ylim=ends)
    _entitle(axes, "Calibration")


def _means(y: Bools, p: Floats, groups: int) -> tuple[Floats, Floats]:
    """Mean probability and share positive of about `groups` groups; equal probabilities stay together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, groups + 1)[1:-1]))
    which = np.searchsorted(edges, p, side="left")
    found = [which == group for group in np.unique(which)]
    return np.array([p[rows].mean() for rows in found]), np.array([y[rows].mean() for rows in found])


def _scores(axes: Axes, trained: Trained, report: dict[str, Any]) -> None:
    """Each kind's own shares on a linear axis: beside many negatives few positives are seen, too."""
    p, y = trained.scores["model"], trained.test.y
    end = max(float(p.max()), report["threshold"]["model"]) * 1.05
    bins = list(np.linspace(0, end, 41))
    for name, rows, style in (
        ("negative", ~y, {"color": "#8fa3b0", "histtype": "stepfilled"}),
        ("positive", y, {"color": COLOURS["model"], "histtype": "step", "lw": 1.8}),
    ):
        axes.hist(p[rows], bins=bins, weights=np.full(rows.sum(), 1 / rows.sum()), label=name, **style)
    for segment in report["segments"]:
        axes.axvspan(
            segment["low"], max(segment["high"], end) if segment["name"] == "target" else segment["high"],
            color=SEGMENTS[segment["name"]], zorder=0, label=segment["name"],
        )  # fmt: skip
    axes.set(xlabel="probability", ylabel="share of the kind's rows", xlim=(0, end))
    _entitle(axes, "Scores and segments")


def _importance(axes: Axes, report: dict[str, Any]) -> None:
    pairs = [pair for pair in report["permutation_importance"].items() if pair[1] > 0][:12][::-1]
    if not pairs:
        _say(axes, "What the model relies on", "no column: shuffling any of them loses nothing")
        return
    axes.barh(range(len(pairs)), [loss for _, loss in pairs], color=COLOURS["model"])
    axes.set_yticks(range(len(pairs)), [_short(name, 24) for name, _ in pairs], fontsize=9)
    axes.set(xlabel="average precision lost when shuffled", ylim=(min(-0.5, len(pairs) - 6.5), len(pairs) - 0.5))
    axes.set_title("What the model relies on", loc="left", fontsize=11)


def _say(axes: Axes, title: str, why: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", color="#555555", transform=axes.transAxes)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _table(axes: Axes, report: dict[str, Any], peers: list[str]) -> None:
    rows = [metric for metric in (*SHOWN, "profit") if metric in report]
    cells = [[f"{report[metric][peer]:.3f}" for metric in rows] for peer in peers]
    low, high = report["roc_auc_interval"]
    cells[0][rows.index("roc_auc")] += f" ({low:.2f} to {high:.2f})"
    axes.set_axis_off()
    table = axes.table(
        cells,
        rowLabels=peers,
        colLabels=[metric.replace("_", " ") for metric in rows],
        cellLoc="center",
        bbox=Bbox.from_bounds(0.07, 0, 0.93, 1),
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(10)
