"""Run-time settings of the reminders."""

from pydantic import Field

from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings


class ReminderSettings(Settings):
    """Read from the environment of the function."""

    lost: str = Field("leave", description="segment whose new members are reminded")


REMINDERS = LeafDescription("reminders", ReminderSettings, jobs={}, samples={})
