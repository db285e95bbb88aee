"""Run-time settings of the console."""

from pydantic import Field

from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings


class ConsoleSettings(Settings):
    """Read from the environment of the console's function."""

    user_pool_client: str = Field("", description="app client that the page signs in with")
    user_pool_endpoint: str = Field(
        "", description="URL of the user pool's API that the page calls; empty: the one of AWS"
    )
    usual_days: int = Field(28, ge=3, description="days before a day whose middle share is its usual one, days")
    classifications_table: str = Field("", description="table of the newest result per user")
    jobs: str = Field("", description="jobs of the ledger, parted by commas (set by the stack)")
    keyed: str = Field("", description="of these, those whose every key matters (set by the stack)")
    trained: str = Field("", description="leaves with a champion, parted by commas (set by the stack)")
    gb_second: float = Field(0.0, ge=0, description="what a GB-second costs, dollars (set by the stack)")
    queues: str = Field("", description="queues that are watched: NAME=URL,.. (set by the stack)")


CONSOLE = LeafDescription("console", ConsoleSettings, jobs={}, samples={})
