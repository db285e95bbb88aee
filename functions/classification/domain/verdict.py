"""Whether a candidate is better than the champion, beyond noise."""

from dataclasses import dataclass

import numpy as np

from functions.classification.domain import metrics
from functions.classification.domain.candidate import Trained
from functions.classification.domain.report import champion_scores
from functions.classification.domain.scoring import Model
from functions.classification.domain.splits import unseen

MIN_JUDGED, MIN_JUDGED_POSITIVES = 200, 20


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate answers from now on, and why."""

    promote: bool
    reason: str


def judge(trained: Trained, champion: Model | None, *, seed: int, repeats: int = 500) -> Verdict:
    """Compare average precision on rows that neither saw: the lower 95 % bootstrap bound of the gain must pass 0."""
    y, ours = trained.test.y, trained.scores["model"]
    if champion is None:
        gain = metrics.average_precision(y, ours) - float(y.mean())
        return Verdict(gain > 0, "the first model" if gain > 0 else "no better than chance")
    theirs = champion_scores(champion, trained)
    if theirs is None:
        return Verdict(promote=True, reason="the champion cannot read the new rows")
    fresh = unseen(trained.test, champion.specification.features, champion.specification.split)
    y, ours, theirs = y[fresh], ours[fresh], theirs[fresh]
    if len(y) < MIN_JUDGED or y.sum() < MIN_JUDGED_POSITIVES:
        return Verdict(promote=False, reason=f"only {len(y)} rows that the champion has not seen, too few to judge")

    def gain_of(weights: metrics.Floats) -> float:
        return metrics.average_precision(y, ours, weights) - metrics.average_precision(y, theirs, weights)

    gain = gain_of(np.ones(len(y)))
    bound = float(np.nanquantile(metrics.bootstrap(gain_of, len(y), seed=seed, repeats=repeats), 0.05))
    return Verdict(bound > 0, f"average precision {gain:+.3f} on {len(y)} rows, at least {bound:+.3f}")
