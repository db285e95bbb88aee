"""Scores become probabilities that keep their order, whatever the scores are."""

import numpy as np
import pytest

from functions.classification.contracts import MODEL_FILE, Calibration
from functions.classification.domain import fit, metrics
from functions.classification.domain.model import Model, calibrated, make_segments


def test_scores_that_are_none_or_high_get_a_finite_map_and_keep_their_shares():
    scores, y = np.array([0.0] * 100 + [0.9] * 16), np.array([False] * 100 + [True] * 6 + [False] * 10)
    found = fit.calibrate(scores, y)
    assert abs(found.intercept) < 10
    assert calibrated(scores, found)[[0, -1]] == pytest.approx([0.0, 0.375], abs=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_no_scores_lose_their_order_to_calibration(seed):
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(40, 600))
    y = draw.random(rows) < draw.choice([0.02, 0.1, 0.5])
    y[:3] = True
    levels = draw.choice([0.0, 1e-6, 1e-4, 0.01, 0.5, 0.99, 1.0], rows)
    scores = np.clip(levels + draw.choice([0, 1]) * y * draw.random(rows) * 0.5, 0, 1)
    p = calibrated(scores, fit.calibrate(scores, y))
    assert np.isfinite(p).all()
    assert metrics.average_precision(y, p) >= metrics.average_precision(y, scores) - 1e-3


def test_scores_of_rare_positives_below_the_floor_are_mapped_and_not_left_as_they_are():
    draw = np.random.default_rng(0)
    odds = draw.normal(-8, 5, 6_000)
    y, scores = draw.random(6_000) < 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-1.6 * odds))
    p = calibrated(scores, fit.calibrate(scores, y))
    assert metrics.average_precision(y, p) >= metrics.average_precision(y, scores) - 1e-3
    assert metrics.calibration_error(y, p) < 0.6 * metrics.calibration_error(y, scores)


def test_a_map_that_would_turn_the_order_round_is_refused():
    draw = np.random.default_rng(1)
    y = draw.random(400) < 0.3
    scores = np.clip(0.6 - 0.3 * y + 0.05 * draw.normal(size=400), 0, 1)
    found = fit.calibrate(scores, y)
    assert found == Calibration(floor=0.0)
    assert calibrated(scores, found).tolist() == scores.tolist()


@pytest.mark.parametrize("slope", [1.0, 40.0])
def test_a_steep_map_does_not_fail_a_model_that_agrees_on_scores_and_segments(package, slope):
    model = package.trained.model
    edge = float(calibrated(np.array([0.5]), Calibration(slope=slope, intercept=3 * slope))[0])
    steep = {"calibration": Calibration(slope=slope, intercept=3 * slope), "segments": make_segments(edge, 0.2)}
    altered = Model("steep", model.specification.model_copy(update=steep), package.files[MODEL_FILE])
    assert fit.parity(altered, package.trained.fitted, package.trained.x, seed=1) < 1e-6


def test_many_rows_of_both_kinds_are_mapped_freely_and_keep_their_order():
    draw = np.random.default_rng(0)
    scores = draw.beta(1, 6, 20_000)
    y = draw.random(20_000) < np.sqrt(scores) / 2  # no straight line on the log-odds is this
    found = fit.calibrate(scores, y)
    p = calibrated(scores, found)
    assert len(found.scores) == len(found.probabilities) > 10
    assert metrics.average_precision(y, p) >= metrics.average_precision(y, scores) - 1e-3
    assert np.abs(p - np.sqrt(scores) / 2).mean() < 0.02
    assert calibrated(np.array([0.0, 0.36]), found) == pytest.approx([0, 0.3], abs=0.05)
    assert (np.diff(p[np.argsort(scores)]) >= 0).all()
