"""Run-time settings of the clustering leaf."""

from layers.runtime.settings import Settings


class ClusteringSettings(Settings):
    """Read from the environment of each clustering function."""
