"""Run-time settings of the classification leaf."""

from typing import Self

from pydantic import Field, model_validator

from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings


class ClassificationSettings(Settings):
    """Read from the environment of each classification function."""

    classifications_table: str = Field("", description="table of the newest result per user")
    profiles_table: str = Field("", description="table of hourly counts of inputs and scores")
    dead_letter_queue_url: str = Field("", description="queue of messages that can never succeed")
    queue_url: str = Field("", description="queue of events: what waits for a first model is put back into it")
    train_function: str = Field("", description="name of the training function that the watch starts")

    refresh_seconds: float = Field(30.0, ge=0, description="how often a warm container asks for the champion, s")
    deadline_seconds: float = Field(5.0, ge=0, description="writing stops this long before the function's timeout, s")
    writers: int = Field(16, ge=1, le=64, description="results written at the same time")
    result_days: int = Field(90, ge=1, description="a result expires after this, days")
    explained_features: int = Field(
        0, ge=0, le=20, description="features that a result names as those that moved its score most; 0: none"
    )

    target: str = Field("y", description="column of customers/ that is predicted")
    positive: str = Field("", description="value of the target to find; when empty 1, yes or true, else the rarer one")
    group: str = Field("", description="column that says whose row it is; empty: user_id, or one that looks like it")
    leak_columns: str = Field("", description="columns refused because they are known only afterwards: A,B,..")
    time_column: str = Field("observed_at", description="column of customers/ with a row's time, where there is one")
    iterations: int = Field(12, ge=1, le=500, description="candidates of the randomised search")
    trees: int = Field(120, ge=10, le=400, description="trees of the forest")
    seed: int = Field(0, ge=0, description="seed of everything random in training")
    budget_seconds: float = Field(600.0, gt=0, description="time budget of training, s")
    value: float = Field(0.0, ge=0, description="what acting on a positive brings; with cost, sets the threshold")
    cost: float = Field(0.0, ge=0, description="what acting on anybody costs; 0 maximises F1 instead")

    watch_hours: int = Field(24, ge=1, description="drift is computed over this many hours")
    watch_events: int = Field(1_000, ge=1, description="fewer events in those hours say nothing about drift")
    drift_index: float = Field(0.25, gt=0, description="stability index from which a population counts as moved")
    unknown_share: float = Field(0.05, gt=0, description="rise of unknown categories that counts as moved, share")
    outcome_days: int = Field(56, ge=1, description="outcomes are joined to results this far back, days")
    outcome_objects: int = Field(
        50_000, ge=100, description="most objects of scored events that are joined; of more, as many of each day"
    )
    retrain_outcomes: int = Field(2_000, ge=1, description="outcomes newer than the last training that start another")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.value or self.cost) and not 0 < self.cost < self.value:
            raise ValueError("TREFOIL_COST must be above 0 and below TREFOIL_VALUE, or both 0")
        if self.target in (self.time_column, self.group, *self.leaks):
            raise ValueError("TREFOIL_TARGET is named as another column too")
        return self

    @property
    def leaks(self) -> list[str]:
        """Columns refused because they are known only afterwards."""
        return [name.strip() for name in self.leak_columns.split(",") if name.strip()]


CLASSIFICATION = LeafDescription(
    "classification",
    ClassificationSettings,
    jobs={
        "classification-train": "other customers, outcomes or settings",
        "classification-outcomes": "other outcomes, or another champion",
        "classification-retrain": "the next day",
    },
    samples={"customers": 4_000, "events": 1_000},
    trainer="FunctionClassificationTrain",
)
