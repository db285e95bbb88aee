"""The report page: one picture that says how good a model is, beside its peers."""

import io
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import PrecisionRecallDisplay

from functions.classification.domain.fit import Trained

COLOURS = {"model": "#1b6ca8", "logistic": "#d98c21", "dummy": "#8a8a8a", "champion": "#3a8f5b"}
SEGMENTS = {"leave": "#f3f3f3", "nurture": "#fbeed5", "target": "#d9ead9"}
SHOWN = ("average_precision", "roc_auc", "f1", "brier", "calibration_error", "profit")
ROWS_PER_POINT = 25


def draw_report(trained: Trained, report: dict[str, Any]) -> bytes:
    """A PNG: precision over recall, calibration, scores with the segments, importance, and in words the figures and the
    findings."""
    rows = f"{report['rows']['test']:,} rows that nothing had seen, {trained.test.y.mean():.1%} of them positive."
    figures = [f"{metric.replace('_', ' ')} {_beside(report[metric])}" for metric in SHOWN if metric in report]
    sentences = [rows, f"{', '.join(figures)}.", *report["findings"]]
    words = [line for sentence in sentences for line in textwrap.wrap(sentence, 150)]
    with mpl.rc_context({"text.parse_math": False}):  # a name may hold any number of dollars
        figure = Figure(figsize=(11, 7.5 + 0.2 * len(words)), layout="constrained")
        title = "\n".join([f"{_short(report['target'], 60)} = {_short(report['positive'], 40)}", *words])
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplot_mosaic([["pr", "cal"], ["hist", "imp"]])
        _precision_recall(panels["pr"], trained)
        _calibration(panels["cal"], trained)
        _scores(panels["hist"], trained, report)
        _importance(panels["imp"], report)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _beside(figures: dict[str, float | None]) -> str:
    """The model's figure and, in brackets, those of its peers."""
    peers = [f"{peer} {figure:.3f}" for peer, figure in figures.items() if peer != "model" and figure is not None]
    return f"{figures['model']:.3f} ({', '.join(peers)})"


def _entitle(axes: Axes, title: str) -> None:
    """Title and legend above the panel, where neither lies on data."""
    axes.set_title(title, loc="left", fontsize=11, pad=24)
    style = {"frameon": False, "fontsize": 9, "borderpad": 0.2, "handlelength": 1.2, "columnspacing": 1.2}
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, **style)


def _precision_recall(axes: Axes, trained: Trained) -> None:
    y = trained.test.y
    axes.axhline(y.mean(), color=COLOURS["dummy"], label="dummy", lw=1.2, ls=":")
    for name in ("logistic", "model"):
        style = {"lw": 1.8} if name == "model" else {"lw": 1.3, "ls": "--"}
        curve = style | {"color": COLOURS[name], "label": name}
        PrecisionRecallDisplay.from_predictions(y, trained.scores[name], ax=axes, curve_kwargs=curve)
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.04), xlim=(0, 1), aspect="auto")
    _entitle(axes, "Precision over recall")


def _calibration(axes: Axes, trained: Trained) -> None:
    groups = min(10, len(trained.test.y) // ROWS_PER_POINT)
    if groups < 2:
        _say(axes, "Calibration", f"too few rows: {len(trained.test.y)}")
        return
    for name in ("logistic", "model"):
        CalibrationDisplay.from_predictions(
            trained.test.y, trained.scores[name], n_bins=groups, strategy="quantile", ax=axes, name=name,
            color=COLOURS[name], marker="o", ms=4,
        )  # fmt: skip
    limit = max(float(np.concatenate([line.get_xdata(), line.get_ydata()]).max()) for line in axes.lines[1:])
    ends = (-0.03 * limit, 1.05 * limit)
    axes.set(xlabel="mean probability of a group of rows", ylabel="share positive", xlim=ends, ylim=ends, aspect="auto")
    _entitle(axes, "Calibration")


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
        high = max(segment["high"], end) if segment["name"] == "target" else segment["high"]
        axes.axvspan(segment["low"], high, color=SEGMENTS[segment["name"]], zorder=0, label=segment["name"])
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
