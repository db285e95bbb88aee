"""Public file formats that the file commands know by name."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Preset:
    """A file format: its target, the columns refused because they are known only afterwards, named feature lists."""

    target: str
    leaks: tuple[str, ...] = ()
    feature_lists: tuple[tuple[str, tuple[str, ...]], ...] = ()


PRESETS = {
    # Moro, Cortez, Rita (2014), UCI bank marketing: the duration of a call is known when the call is over.
    "bank": Preset(
        target="y",
        leaks=("duration",),
        feature_lists=(("book", ("job", "marital", "education", "contact", "housing", "loan", "default", "day")),),
    )
}


def afterwards(columns: Collection[str], named: Iterable[str]) -> list[str]:
    """Those of `columns` that are known only afterwards: what is `named` and what the format's preset refuses.

    A table has the format of a preset when it has its target and all columns of its lists. So `duration` is refused in
    bank marketing and nowhere else: in a table of loans it is a term.
    """
    refused = set(named)
    for preset in PRESETS.values():
        if {preset.target, *chain(*dict(preset.feature_lists).values())} <= set(columns):
            refused.update(preset.leaks)
    return [name for name in columns if name in refused]
