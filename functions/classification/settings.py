"""Run-time settings of the classification leaf."""

from layers.runtime.settings import Settings


class ClassificationSettings(Settings):
    """Read from the environment of each classification function."""
