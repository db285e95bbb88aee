"""Public file formats that the file commands know by name."""

from dataclasses import dataclass


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
