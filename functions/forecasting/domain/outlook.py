"""What comes of a series against what is usual for it."""

from typing import Final

import numpy as np

from functions.forecasting.contracts import Outlook
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.series import Floats

# Periods that a peak is made of: a day of hours, a week of days, else one.
STRETCH: Final = {"H": 24, "D": 7}
DIGITS: Final = 4


def outlook(frame: Frame, yhat: Floats) -> Outlook:
    """The horizon of a frame against the usual level, from its forecast (n,) with n > 0.

    Usual is the mean of the known periods of lately (eight weeks; of months and quarters a year) up to the last
    observation; a closed period of which nothing is known is 0. The peak is the stretch of consecutive periods with the
    greatest mean, the first of several. Both ratios are null where the usual level is not above zero.
    """
    past = slice(max(0, frame.seen - frame.rhythm.recent), frame.seen)
    sales = np.where(np.isnan(frame.y[past]) & (frame.open[past] == 0), 0.0, frame.y[past])
    known = sales[np.isfinite(sales)]
    usual = float(known.mean()) if len(known) else 0.0
    total = float(f"{yhat.sum():.9g}")
    span = min(STRETCH.get(frame.frequency.kind, 1), len(yhat))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        means = np.lib.stride_tricks.sliding_window_view(yhat, span).mean(axis=1)
        ratios = np.round(np.r_[yhat.mean(), means] / usual, DIGITS)
    if usual <= 0 or not np.isfinite(ratios).all():
        return Outlook(total=total)
    peak = int(np.argmax(ratios[1:]))
    return Outlook(
        total=total,
        against_usual=float(ratios[0]),
        peak_start=frame.frequency.labels(frame.times[[frame.start + peak]])[0],
        peak_against_usual=float(ratios[1 + peak]),
    )
