"""Whether a candidate is better than chance and than the champion, beyond noise."""

import numpy as np

from functions.classification.domain import metrics
from functions.classification.domain.fit import Trained
from functions.classification.domain.model import Model
from functions.classification.domain.report import auc_interval, champion_scores
from functions.classification.domain.splits import unseen
from functions.classification.domain.target import meaning

MIN_JUDGED, MIN_JUDGED_OF_EACH = 200, 20


def judge(trained: Trained, champion: Model | None, *, seed: int, repeats: int = 500) -> tuple[bool, str]:
    """Whether the candidate answers from now on, and why.

    It must rank better than chance does in 39 of 40 cases, and mean the same as the champion; on rows that neither saw
    and both can score, the lower 95 % bootstrap bound of its gain in average precision must pass 0.
    """
    y, ours, groups = trained.test.y, trained.scores["model"], trained.parts.groups[trained.parts.test]
    if champion and meaning(trained.model.specification) != meaning(champion.specification):
        return False, "the champion predicts something else: the target or its values differ"
    auc, low, _ = auc_interval(y, ours, groups)
    if low <= 0.5:
        return False, f"no better than chance on {len(y)} rows: AUC {auc:.3f}, at least {low:.3f}"
    if champion is None:
        return True, "the first model"
    specification = champion.specification
    fresh = unseen(trained.rows, specification.features, specification.split)[trained.parts.test]
    theirs = champion_scores(champion, trained.test)
    common = fresh & ~np.isnan(theirs)
    y, ours, theirs, groups = y[common], ours[common], theirs[common], groups[common]
    if len(y) < MIN_JUDGED or min(y.sum(), (~y).sum()) < MIN_JUDGED_OF_EACH:
        lost = f"it has seen {(~fresh).sum()} and cannot score {(fresh & ~common).sum()} others of {len(common)}"
        return False, f"only {len(y)} rows to compare with the champion on, too few to judge: {lost}"
    gain, draws = metrics.gain(y, ours, theirs, groups, seed=seed, repeats=repeats)
    bound = float(np.nanquantile(draws, 0.05))
    return bound > 0, f"average precision {gain:+.3f} on {len(y)} rows, at least {bound:+.3f}"
