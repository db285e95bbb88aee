"""The report page: one picture that says how good a model is, beside its peers."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from functions.classification.domain.candidate import Bools, Floats, Trained

COLOURS = {"model": "#1b6ca8", "logistic": "#d98c21", "dummy": "#8a8a8a", "champion": "#3a8f5b"}
SHOWN = ("average_precision", "roc_auc", "f1", "brier", "calibration_error", "threshold")


def draw_report(trained: Trained, report: dict[str, Any]) -> bytes:
    """A PNG: precision over recall, calibration, scores with the segments, importance, and the figures."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    figure.suptitle(
        f"{report['target']} = {report['positive']}: {report['rows']['test']:,} rows that neither search, forest, "
        f"calibration nor threshold saw ({trained.test.y.mean():.1%} positive)",
        fontsize=11,
    )
    top = figure.subplot_mosaic([["pr", "cal"], ["hist", "imp"], ["table", "table"]], height_ratios=[3, 3, 2])
    _precision_recall(top["pr"], trained)
    _calibration(top["cal"], trained)
    _scores(top["hist"], trained, report)
    _importance(top["imp"], report)
    _table(top["table"], report)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _precision_recall(axes: Axes, trained: Trained) -> None:
    y = trained.test.y
    for name, p in trained.scores.items():
        if name == "dummy":
            axes.axhline(y.mean(), color=COLOURS[name], label=name, lw=1.2, ls=":")
            continue
        order = np.argsort(-p, kind="stable")
        last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
        hits = np.cumsum(y[order])[last]
        axes.step(hits / y.sum(), hits / (last + 1), where="pre", color=COLOURS[name], label=name, lw=1.4)
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), xlim=(0, 1), title="Precision over recall")
    axes.legend(loc="upper right", frameon=False)


def _calibration(axes: Axes, trained: Trained) -> None:
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1)
    limit = 0.0
    for name in ("model", "logistic"):
        x, share = _bins(trained.test.y, trained.scores[name])
        axes.plot(x, share, "o-", color=COLOURS[name], ms=4, label=name)
        limit = max(limit, float(x.max()), float(share.max()))
    axes.set(xlabel="mean probability in tenths of the rows", ylabel="share positive", title="Calibration")
    axes.set(xlim=(0, min(1.0, 1.1 * limit)), ylim=(0, min(1.0, 1.1 * limit)))
    axes.legend(loc="upper left", frameon=False)


def _bins(y: Bools, p: Floats) -> tuple[Floats, Floats]:
    groups = [group for group in np.array_split(np.argsort(p, kind="stable"), 10) if len(group)]
    return np.array([p[g].mean() for g in groups]), np.array([y[g].mean() for g in groups])


def _scores(axes: Axes, trained: Trained, report: dict[str, Any]) -> None:
    p, y = trained.scores["model"], trained.test.y
    bins = np.linspace(0, max(float(p.max()), report["threshold"]["model"]) * 1.02, 41)
    axes.hist(
        [p[~y], p[y]],
        bins=list(bins),
        stacked=True,
        color=["#c9d6df", COLOURS["model"]],
        label=["negative", "positive"],
    )
    for segment in report["segments"]:
        if segment["low"] > 0:
            axes.axvline(segment["low"], color="#444444", lw=1, ls="--")
        axes.annotate(
            segment["name"],
            (segment["low"], 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            va="top",
            fontsize=8,
            rotation=90,
        )
    axes.set(xlabel="probability", ylabel="rows (log)", yscale="log", title="Scores and segments")
    axes.legend(loc="upper right", frameon=False)


def _importance(axes: Axes, report: dict[str, Any]) -> None:
    pairs = list(report["permutation_importance"].items())[:12][::-1]
    axes.barh([_short(name) for name, _ in pairs], [loss for _, loss in pairs], color=COLOURS["model"])
    axes.axvline(0, color="#444444", lw=0.8)
    axes.set(xlabel="average precision lost when shuffled", title="What the model relies on")


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


def _table(axes: Axes, report: dict[str, Any]) -> None:
    peers = [peer for peer in COLOURS if report["roc_auc"].get(peer) is not None]
    rows = [metric for metric in (*SHOWN, "profit") if metric in report]
    cells = [[f"{report[metric][peer]:.3f}" for metric in rows] for peer in peers]
    axes.axis("off")
    table = axes.table(
        cells,
        rowLabels=peers,
        colLabels=[metric.replace("_", " ") for metric in rows],
        loc="center",
        edges="horizontal",
    )
    table.set_fontsize(10)
    table.scale(1, 1.5)
