"""Run-time settings of the console."""

from pydantic import Field

from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings


class ConsoleSettings(Settings):
    """Read from the environment of the console's function."""

    usual_days: int = Field(28, ge=3, description="days before a day whose middle share is its usual one, days")


CONSOLE = LeafDescription("console", ConsoleSettings, jobs={}, samples={})
