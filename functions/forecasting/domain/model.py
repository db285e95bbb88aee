"""A trained series: which kind won, its parameters, how wide its intervals are, and how it did."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from functions.forecasting.contracts import Backtest
from functions.forecasting.domain import additive, baselines
from functions.forecasting.domain.additive import Additive
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.frequency import DAYS, Ints, Rhythm, Times
from functions.forecasting.domain.series import Floats
from layers.runtime.errors import CorruptError

if TYPE_CHECKING:  # onnxruntime is loaded by who needs it
    from functions.forecasting.domain.global_model import GlobalModel

PROPHET: Final = "prophet"
APPROXIMATION: Final = "additive"
GLOBAL: Final = "global"
BLEND: Final = "blend"
ECHO: Final = "echo"  # of models stored before smoothing was: Prophet with the year before
SHARED: Final = (GLOBAL, BLEND)
PROBABILITIES: Final = np.unique(np.r_[0.005, 0.01, 0.025, np.linspace(0.05, 0.95, 37), 0.975, 0.99, 0.995])

NOTHING: Final = -20.0
MOST: Final = 0.4  # of an error on the log scale that is drawn to the other side; far beyond lie days without sales
NORMAL: Final = np.array([NormalDist().inv_cdf(p) for p in PROBABILITIES.tolist()])

Scale = Literal["log", "linear"]


class Interval(BaseModel):
    """Quantiles of past errors at `PROBABILITIES`: of log(sales / forecast), or of sales - forecast when `linear`.

    The errors are divided by the `spread` of their `block` of so many periods ahead (the last stands for all beyond).
    No bound is below `floor`: zero, or the lowest sales seen where they often are negative.
    """

    model_config = ConfigDict(frozen=True)

    scale: Scale
    quantiles: tuple[float, ...]
    spread: tuple[float, ...] = (1.0,)
    floor: float = 0.0
    block: int = DAYS.rhythm.block


class Holdout(BaseModel):
    """What was forecast for the periods of the backtest before they were seen, and how wide its intervals were."""

    model_config = ConfigDict(frozen=True)

    yhat: tuple[float, ...]
    interval: Interval


class Trained(BaseModel):
    """The model of one series, complete: with its history it answers without Prophet or pandas."""

    model_config = ConfigDict(frozen=True)

    series_id: str
    frequency: str = DAYS.code
    history: str
    kind: str
    trained_at: str
    additive: Additive | None
    interval: Interval
    backtest: Backtest | None
    holdout: Holdout | None = None
    regressors: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Prediction(NamedTuple):
    """Arrays over consecutive periods (n,); `quantiles` by name, as `quantile_name` gives it."""

    times: Times
    yhat: Floats
    lower: Floats
    upper: Floats
    quantiles: Mapping[str, Floats] = MappingProxyType({})


def load_model(body: bytes) -> Trained:
    """A stored model. Raises CorruptError."""
    try:
        return Trained.model_validate_json(body)
    except ValueError as exc:
        raise CorruptError("not a trained model") from exc


def middle(kind: str, frame: Frame, fitted: Additive | None, learned: "GlobalModel | None") -> Floats:
    """Point forecast of the horizon by `kind`; closed periods are 0. Raises CorruptError without the model it needs."""
    if kind in baselines.RULES:
        return baselines.predict(kind, frame)
    ours = additive.predict(fitted, frame)[frame.start :] if fitted else None
    theirs = learned.forecast(frame) if learned and kind in SHARED else None
    yhat = theirs if kind == GLOBAL else ours
    if kind == BLEND and ours is not None and theirs is not None:
        yhat = blend(ours, theirs)
    if kind == ECHO and ours is not None:
        yhat = blend(ours, baselines.predict(baselines.YEAR_AGO, frame))
    if yhat is None or (kind == BLEND and theirs is None):
        raise CorruptError(f"there is no model for a forecast by {kind}")
    return yhat


def blend(ours: Floats, theirs: Floats) -> Floats:
    """The geometric mean of two forecasts (n,), or their mean where one is not above zero."""
    both = (ours > 0) & (theirs > 0)
    return np.where(both, np.sqrt(np.where(both, ours * theirs, 0.0)), (ours + theirs) / 2)


def measure(windows: Sequence[Floats], *, floor: float = 0.0, rhythm: Rhythm = DAYS.rhythm) -> Interval:
    """Quantiles of the errors of past forecasts: sales, forecast and whether it was open, (3, n), of each window; with
    few errors the tails are the extremes. They are drawn to both sides as far as those of a window move together, and
    that part is as uncertain as Student's t of so few windows (Abramowitz and Stegun, 26.7.5)."""
    block = rhythm.block
    placed = [np.vstack([w, np.arange(w.shape[1]), np.full(w.shape[1], i)]) for i, w in enumerate(windows)]
    y, yhat, opened, ahead, window = np.hstack([np.zeros((5, 0)), *placed])
    known = np.isfinite(y) & (opened > 0)
    sold, hoped = y > 0, yhat > 0
    scale: Scale = "log" if floor == 0 and known.any() and (sold & hoped)[known].mean() > 0.9 else "linear"
    used = known & hoped if scale == "log" else known
    if not used.any():
        return Interval(scale="linear", quantiles=(0.0,) * len(PROBABILITIES), floor=floor, block=block)
    y, yhat, blocks, window = y[used], yhat[used], ahead[used].astype(int) // block, window[used].astype(int)
    # On the log scale a day without sales is off by more than any other: it pulls the lower bound to zero.
    errors = np.log(np.where(y > 0, y, np.exp(NOTHING)) / yhat) if scale == "log" else y - yhat
    common, spread = _common(errors, window), _spread(errors, blocks)
    errors = np.sort(errors / spread[blocks])
    # The (n + 1) rule of conformal prediction: each side errs on the wide side by one observation.
    n = len(errors)
    position = PROBABILITIES * (n + 1) - 1
    quantiles = np.interp(position, np.arange(n), errors)
    # What windows have in common may go the other way in the next.
    mirror = -(np.maximum(quantiles, -MOST) if scale == "log" else quantiles)[::-1]
    widest = np.where(NORMAL < 0, np.minimum(quantiles, mirror), np.maximum(quantiles, mirror))
    quantiles += common * (widest - quantiles)
    # The median is the forecast itself, so that no stretch makes them cross.
    quantiles = np.where(NORMAL < 0, np.minimum(quantiles, 0.0), np.maximum(quantiles, 0.0))
    quantiles *= np.sqrt(1 - common + common * _student(max(len(np.unique(window)) - 1, 1)) ** 2)
    return Interval(
        scale=scale, quantiles=tuple(quantiles.tolist()), spread=tuple(spread.tolist()), floor=floor, block=block
    )


def _common(errors: Floats, window: Ints) -> float:
    """The part of the squares of errors (n,) that those of one window have in common, 0 to 1; `window` (n,) from 0."""
    counts = np.maximum(np.bincount(window), 1)
    return float((np.bincount(window, errors) ** 2 / counts).sum() / max(errors @ errors, 1e-12))


def _student(freedom: int) -> Floats:
    """How many times as far out as a normal distribution's are the quantiles of Student's t, at `PROBABILITIES`."""
    square = NORMAL**2
    further = (square + 1) / (4 * freedom) + (5 * square**2 + 16 * square + 3) / (96 * freedom**2)
    return np.asarray(1 + further, dtype=float)


def _spread(errors: Floats, block: Ints) -> Floats:
    """How wide errors (n,) of each block are against all of them, drawn half way to 1; never narrower further ahead."""
    counts = np.bincount(block)
    sizes = np.bincount(block, np.abs(errors)) / np.maximum(counts, 1)
    ratios = np.where(counts > 0, sizes / (np.abs(errors).mean() or 1.0), 0.0)
    return np.maximum.accumulate((1.0 + ratios) / 2.0)


def interval(model: Interval, yhat: Floats, level: float, widen: Floats | float = 1.0) -> tuple[Floats, Floats]:
    """Lower and upper bound around `yhat` (n,), periods ahead, at `level` (.5 to .99); `widen` stretches both sides."""
    low, high = (round((1 + side * level) / 2, 9) for side in (-1, 1))  # as its quantiles are named, to the bit
    return quantile(model, yhat, low, widen), quantile(model, yhat, high, widen)


def quantile(model: Interval, yhat: Floats, probability: float, widen: Floats | float = 1.0) -> Floats:
    """What sales stay below with `probability` (.005 to .995), (n,); never beyond `yhat`, which is that of .5."""
    blocks = np.minimum(np.arange(len(yhat)) // model.block, len(model.spread) - 1)
    widen = widen * np.array(model.spread)[blocks]
    error = float(np.interp(probability, PROBABILITIES, model.quantiles))
    error = np.clip(error, -np.inf if probability < 0.5 else 0.0, np.inf if probability > 0.5 else 0.0)
    if model.scale == "log":
        return np.asarray(yhat * np.exp(error * widen), dtype=float)
    return np.asarray(np.maximum(yhat + error * widen, np.minimum(model.floor, yhat)), dtype=float)


def quantile_name(probability: float) -> str:
    """The name of a quantile: p10 of .1, p2.5 of .025."""
    return f"p{100 * probability:.6g}"


def bounded(
    model: Interval,
    times: Times,
    yhat: Floats,
    opened: Floats,
    level: float,
    quantiles: Sequence[float] = (),
    widen: Floats | float = 1.0,
) -> Prediction:
    """A forecast (n,) with its interval at `level` and its `quantiles`; periods that are not open are 0 in all."""
    lower, upper = interval(model, yhat, level, widen)
    more = {quantile_name(p): quantile(model, yhat, p, widen) for p in quantiles}
    lower, upper, *rest = (np.where(opened > 0, bound, 0.0) for bound in (lower, upper, *more.values()))
    return Prediction(times, yhat, lower, upper, dict(zip(more, rest, strict=True)))


def forecast(
    trained: Trained,
    frame: Frame,
    level: float,
    learned: "GlobalModel | None" = None,
    quantiles: Sequence[float] = (),
) -> Prediction:
    """Forecast of the frame's horizon with its interval at `level` and its `quantiles`; kinds `global` and `blend` need
    `learned`."""
    ahead = slice(frame.start, None)
    yhat = middle(trained.kind, frame, trained.additive, learned)
    widen = _widening(trained, frame)
    return bounded(trained.interval, frame.times[ahead], yhat, frame.open[ahead], level, quantiles, widen)


def caveats(trained: Trained, frame: Frame) -> list[str]:
    """What a reader must know of this answer: what was assumed, and what the model does not use or know."""
    remarks = [*frame.assumptions, *trained.notes]
    if trained.left_out:
        remarks.append(f"{', '.join(trained.left_out)}: not used, moves with the sales themselves")
    used = set(trained.regressors)
    if missing := sorted(used - frame.x.keys()):
        remarks.append(f"{', '.join(missing)}: used by the model, not in the history any more; taken as usual")
    bases = {name.partition("=")[0] for name in used if "=" in name}
    for name, values in frame.x.items():
        met = name in used or values[: frame.start].any()
        if "=" in name and not met and name.partition("=")[0] in bases and values[frame.start :].any():
            remarks.append(f"{name}: not known to the model, counts as none of the values it knows")
    return remarks


def _widening(trained: Trained, frame: Frame) -> Floats | float:
    """Beyond the horizon that errors were measured on, the trend may turn: stretch by its share of the variance."""
    if trained.additive is None or trained.interval.scale != "log":
        return 1.0
    ahead = np.arange(frame.start, len(frame.times), dtype=float) - frame.seen + 1
    drift = additive.spread(trained.additive, ahead)
    noise = max(trained.additive.sigma * trained.additive.y_scale, 1e-6)
    return np.sqrt(1.0 + (drift / noise) ** 2)
