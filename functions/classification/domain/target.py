"""The column to predict: its two values, which of them is to be found, and what an outcome says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Specification
from functions.classification.domain.schema import canonical, text
from layers.runtime.errors import InputError

NO = {"1": "0", "yes": "no", "true": "false", "y": "n", "t": "f", "ja": "nein", "oui": "non", "si": "no", "sí": "no"}


@dataclass(frozen=True)
class Target:
    """The column to predict and its two values, as they are written most often."""

    name: str
    positive: str
    negative: str


def read_target(
    values: Sequence[Any], name: str, positive: str | None = None, standing: Target | None = None
) -> tuple[Target, npt.NDArray[np.int64]]:
    """The target's two values and, per row, 1 for positive, 0 for negative, -1 for null.

    Spellings of one value (`Yes` and `yes`, `1` and `1.0`) are that value. Positive is `positive`; unless named what it
    is in `standing`, when that has the same two values; else 1 of 1 and 0, yes of yes and no, true of true and false;
    else the rarer value, of two equally frequent ones the later in sort order. Raises InputError when there are not
    exactly two values, or `positive` is neither.
    """
    words = [canonical(value) for value in values]
    counts = Counter(word for word in words if word)
    if len(counts) != 2:
        # The values are not shown: this is logged, and a column named by mistake may hold anything.
        raise InputError(f"the target must have two values, it has {len(counts)}", field=name)
    common, rare = sorted(counts, key=lambda word: (-counts[word], word))
    chosen = rare
    if positive is not None:
        chosen = canonical(positive)
        if chosen not in counts:
            raise InputError(f"the target has no value {positive!r}, only {rare!r} and {common!r}", field=name)
    elif standing is not None and {canonical(standing.positive), canonical(standing.negative)} == counts.keys():
        chosen = canonical(standing.positive)
    elif NO.get(common) == rare:
        chosen = common
    other = common if chosen == rare else rare
    code = {chosen: 1, other: 0, "": -1}
    target = Target(name, _spelling(chosen, words, values), _spelling(other, words, values))
    return target, np.array([code[word] for word in words])


def _spelling(word: str, words: Sequence[str], values: Sequence[Any]) -> str:
    return Counter(text(v) for v, w in zip(values, words, strict=True) if w == word).most_common(1)[0][0]


def meaning(specification: Specification) -> list[str]:
    """What a model predicts: the column, its positive value and the other, each in its one spelling."""
    return [specification.target, canonical(specification.positive), canonical(specification.negative)]


def is_positive(outcome: Any, target: Target | Specification) -> bool | None:
    """What an outcome says: it names a value of the target, or it is 1, yes, true or 0, no, false. None: unknown.

    Of a target that itself has two such values, yes is whichever of them says yes; of another, yes is positive, and
    digits say nothing if its own values are numbers.
    """
    word, positive, negative = canonical(outcome), canonical(target.positive), canonical(target.negative)
    if word in (positive, negative):
        return word == positive
    yes = word in NO
    if not yes and word not in NO.values():
        return None
    if {positive, negative} <= {*NO, *NO.values()}:
        return yes == (positive in NO)
    return None if word.isdigit() and (positive.isdigit() or negative.isdigit()) else yes
