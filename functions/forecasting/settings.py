"""Run-time settings of the forecasting leaf."""

from layers.runtime.settings import Settings


class ForecastingSettings(Settings):
    """Read from the environment of each forecasting function."""
