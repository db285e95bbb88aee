"""Prophet's model of log sales: piecewise linear trend, Fourier seasons, regressors; fitted and evaluated. Where sales
below zero are more than stray days it is a model of the sales as they are.

`fit` is Prophet itself (Taylor and Letham, "Forecasting at scale", 2018; chapter on Prophet of the book). `approximate`
finds the same posterior mode with numpy in milliseconds, which is what lets folds choose between designs. A fitted
model is plain numbers, so an answer needs neither Prophet nor pandas.
"""

import json
import logging
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from functions.forecasting.domain import features
from functions.forecasting.domain.frame import Frame, weekdays
from functions.forecasting.domain.frequency import Ints
from functions.forecasting.domain.series import Floats

# Seasons by name: length in days, and harmonics. `weekend` is the day again, on Saturdays and Sundays only.
SEASONS: Final = {"year": (365.25, 6), "week": (7.0, 3), "day": (1.0, 6), "weekend": (1.0, 6)}
CHANGEPOINTS: Final = 25
RANGE: Final = 0.8
# Prior scales in log units over the whole history, so that they mean the same for pieces and for millions.
TREND_PRIOR: Final = 0.05
PRIORS: Final = {"week": 1.0, "year": 0.05, "only year": 0.3, "day": 1.0, "weekend": 1.0, "x": 1.0, "other": 0.1}
OUTLIER: Final = 3.0
STEPS: Final = 12
MANY: Final = 100
SATURDAY: Final = 5


class Design(BaseModel):
    """Which seasons and columns a model has, and how many `harmonics` of the year; `scale` standardises numeric columns
    of the file; without `log` it is a model of the sales themselves, in units of their usual size."""

    model_config = ConfigDict(frozen=True)

    weekly: bool
    yearly: bool
    daily: bool = False
    harmonics: int = SEASONS["year"][1]
    columns: tuple[str, ...] = ()
    log: bool = True
    scale: dict[str, tuple[float, float]] = {}

    @property
    def seasons(self) -> dict[str, tuple[float, int]]:
        """Length and harmonics of each season that it has."""
        chosen = {"year": self.yearly, "week": self.weekly, "day": self.daily, "weekend": self.daily}
        own = SEASONS | {"year": (SEASONS["year"][0], self.harmonics)}
        return {name: own[name] for name, on in chosen.items() if on}


class Additive(BaseModel):
    """A fitted model: trend in scaled time and scaled log sales around `center`, and one coefficient a column. One that
    `adapts` answers at the level of the newest sales."""

    model_config = ConfigDict(frozen=True)

    design: Design
    start: str
    t_scale: float
    y_scale: float
    center: float
    unit: float = 1.0
    k: float
    m: float
    delta: tuple[float, ...]
    changepoints: tuple[float, ...]
    beta: tuple[float, ...]
    sigma: float
    adapts: bool = False


def predict(model: Additive, frame: Frame) -> Floats:
    """Median sales of every period of the frame, shape (n,), at the level of lately; closed ones are zero."""
    fitted = line(model, frame)
    level = fitted + lately(model, frame, fitted)
    sales = np.exp(np.clip(level, -50.0, 50.0)) if model.design.log else level * model.unit
    return np.where(frame.open > 0, sales, 0.0)


def line(model: Additive, frame: Frame) -> Floats:
    """What was fitted, of every period (n,): log sales, or sales in units of their usual size."""
    numbers = frame.frequency.numbers(np.r_[np.datetime64(model.start), frame.times])
    t = (numbers[1:] - numbers[0]) / model.t_scale
    late = np.maximum(t[:, None] - np.array(model.changepoints), 0.0)
    trend = model.k * t + model.m + late @ np.array(model.delta)
    season = columns(model.design, frame) @ np.array(model.beta) if model.beta else 0.0
    return np.asarray((trend + season) * model.y_scale + model.center, dtype=float)


def lately(model: Additive, frame: Frame, fitted: Floats) -> float:
    """How far the newest sales lie off the `fitted` line (n,), whose trend bends late or never: half of it, and all
    where it is twice the noise; 0 of a model that does not adapt."""
    if not model.adapts:
        return 0.0
    rows = slice(max(0, frame.seen - frame.rhythm.recent // 2), frame.seen)
    sold = frame.selling[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        off = (np.log(sold) if model.design.log else sold / model.unit) - fitted[rows]
    off = off[np.isfinite(off)]
    if not len(off):
        return 0.0
    shift, noise = float(np.median(off)), max(model.sigma * model.y_scale, 1e-6)
    return shift * min(max(abs(shift) / (2 * noise), 0.5), 1.0)


def spread(model: Additive, ahead: Floats) -> Floats:
    """Standard deviation of the log trend `ahead` periods after the history (n,) if its rate changes on as before."""
    rate = len(model.delta) / (RANGE * model.t_scale)
    typical = float(np.mean(np.abs(model.delta))) * model.y_scale / model.t_scale if model.delta else 0.0
    return typical * np.sqrt(2.0 * rate * np.maximum(ahead, 0.0) ** 3 / 3.0)


def names(design: Design) -> list[str]:
    """What each coefficient belongs to, in the order of `beta`: seasons, then regressors."""
    seasons = [f"{name}{i}" for name, (_, order) in design.seasons.items() for i in range(2 * order)]
    return [*seasons, *design.columns]


def columns(design: Design, frame: Frame) -> Floats:
    """The column of each coefficient, shape (n, k)."""
    parts = [features.fourier(frame.clock, *season) for season in design.seasons.values()]
    if design.daily:
        parts[-1] = parts[-1] * (weekdays(frame.clock) >= SATURDAY)[:, None]
    return np.hstack([*parts, features.matrix(frame, design.columns, design.scale)])


def priors(design: Design) -> Floats:
    """Prior scale of each coefficient in log units, shape (k,)."""
    own = PRIORS if design.weekly else PRIORS | {"year": PRIORS["only year"]}
    seasons = [own[name] for name, (_, order) in design.seasons.items() for _ in range(2 * order)]
    return np.array(seasons + [PRIORS["x" if c.startswith(("x:", "peak:")) else "other"] for c in design.columns])


@cache
def _stan() -> Any:
    """Prophet's model, compiled. It is called as Prophet calls it, without the seconds that its tables take."""
    for name in ("cmdstanpy", "prophet", "prophet.models", "prophet.plot"):  # no line of log per fit or import
        logging.getLogger(name).disabled = True
    from prophet.models import CmdStanPyBackend

    return CmdStanPyBackend().model


class Problem:
    """The regression on rows before `end`: scaled time, scaled log sales, and the matrix of every candidate column.

    Rows without sales are left out of logarithms. One problem serves many designs that are subsets of `design`.
    """

    def __init__(self, frame: Frame, end: int, design: Design) -> None:
        sold = frame.selling[:end]
        self.rows = np.flatnonzero((sold > 0) if design.log else np.isfinite(sold))
        self.frame, self.design = frame, design
        self.unit = 1.0 if design.log else float(np.abs(sold[self.rows]).mean()) or 1.0
        level = np.log(sold[self.rows]) if design.log else sold[self.rows] / self.unit
        self.center = float(np.median(level))
        self.y_scale = float(np.abs(level - self.center).max()) or 1.0
        self.y = (level - self.center) / self.y_scale
        self.t_scale = float(max(self.rows[-1] - self.rows[0], 1))
        self.t = (self.rows - self.rows[0]) / self.t_scale
        self.x = columns(design, frame)[self.rows]
        size = int(np.floor(len(self.t) * RANGE))
        picked = np.linspace(0, size - 1, max(min(CHANGEPOINTS, size - 1), 0) + 1).round().astype(int)
        self.changepoints: Floats = self.t[picked[1:]]
        late = np.maximum(self.t[:, None] - self.changepoints, 0.0)
        self._a = np.hstack([self.t[:, None], np.ones((len(self.t), 1)), late, self.x])
        self._gram, self._moment = self._a.T @ self._a, self._a.T @ self.y
        for _ in range(2):
            self._draw_in()

    def _draw_in(self) -> None:
        """Move sales that lie far off the fit (robust deviations) to where they are only just far off."""
        fitted = self._a @ self._solve(np.arange(self._a.shape[1]), self.design)[0]
        off = self.y - fitted
        far = OUTLIER * 1.4826 * float(np.median(np.abs(off)))
        self.y = fitted + np.clip(off, -far, far)
        self._moment = self._a.T @ self.y

    def approximate(self, design: Design | None = None) -> Additive:
        """Posterior mode with numpy alone, of `design` or of the whole one."""
        chosen = design or self.design
        trend, wanted = 2 + len(self.changepoints), set(names(chosen))
        own = [trend + i for i, name in enumerate(names(self.design)) if name in wanted]
        return self._model(chosen, *self._solve(np.array([*range(trend), *own]), chosen))

    def _solve(self, own: Ints, design: Design) -> tuple[Floats, float]:
        """Growth, offset, bends and coefficients (n,) of the columns `own` (n,) of the problem, and the noise.

        Iteratively reweighted ridge: a Laplace prior is a ridge whose weight follows the value.
        """
        gram, moment, a = self._gram[np.ix_(own, own)], self._moment[own], self._a[:, own]
        bends = slice(2, 2 + len(self.changepoints))
        penalty = np.r_[1 / 25.0, 1 / 25.0, np.ones(len(self.changepoints)), (self.y_scale / priors(design)) ** 2]
        tau, sigma = TREND_PRIOR / self.y_scale, 0.3
        size = np.full(len(self.changepoints), tau)
        for _ in range(STEPS):
            penalty[bends] = 1.0 / (tau * np.maximum(size, 1e-6))
            solution = np.linalg.solve(gram + sigma**2 * np.diag(penalty), moment)
            size = np.abs(solution[bends])
            residual = self.y - a @ solution
            sigma = max(float(np.sqrt(residual @ residual / len(self.y))), 1e-4)
        return solution, sigma

    def fit(self) -> Additive:
        """Prophet's own fit of `design`, started from the approximation; temporary files are gone afterwards."""
        near, top = self.approximate(), float(np.abs(self.y).max())
        if np.ptp(self.y) == 0:
            return near
        # Stan's model needs a column: of zeros where there is neither a season nor a regressor.
        x, sigmas, beta = self.x, priors(self.design) / self.y_scale, near.beta
        if not beta:
            x, sigmas, beta = np.zeros((len(self.t), 1)), np.ones(1), (0.0,)
        size, bends = x.shape[1], len(self.changepoints)
        data = {"T": len(self.t), "K": size, "S": bends, "trend_indicator": 0, "tau": TREND_PRIOR / self.y_scale}
        data |= {"t": self.t, "t_change": self.changepoints, "cap": np.zeros(len(self.t)), "y": self.y / top}
        data |= {"X": x, "sigmas": sigmas, "s_a": np.ones(size), "s_m": np.zeros(size)}
        start = {"k": near.k, "m": near.m, "delta": near.delta, "beta": beta, "sigma_obs": near.sigma}
        with tempfile.TemporaryDirectory(prefix="prophet-") as folder:
            files = {"data": data, "inits": start}
            for name, values in files.items():
                Path(folder, f"{name}.json").write_text(json.dumps(values, default=np.ndarray.tolist))
            given = {name: str(Path(folder, f"{name}.json")) for name in files} | {"output_dir": folder, "iter": 10_000}
            try:
                found = _stan().optimize(**given, algorithm="LBFGS" if len(self.t) >= MANY else "Newton")
            except RuntimeError:
                found = _stan().optimize(**given, algorithm="Newton")
            parts = [np.reshape(found.stan_variable(name), -1) for name in ("k", "m", "delta", "beta")]
            sigma = float(found.stan_variable("sigma_obs"))
        return self._model(self.design, np.concatenate(parts), sigma).model_copy(update={"y_scale": self.y_scale * top})

    def _model(self, design: Design, solution: Floats, sigma: float) -> Additive:
        trend = 2 + len(self.changepoints)
        return Additive(
            design=design,
            start=str(self.frame.times[self.rows[0]]),
            t_scale=self.t_scale,
            y_scale=self.y_scale,
            center=self.center,
            unit=self.unit,
            k=float(solution[0]),
            m=float(solution[1]),
            delta=solution[2:trend].tolist(),
            changepoints=self.changepoints.tolist(),
            beta=solution[trend:].tolist()[: len(names(design))],
            sigma=sigma,
            adapts=True,
        )
