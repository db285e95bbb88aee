"""What comes from the stream of the table of segments, and the reminder that is made of it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layers.runtime.errors import InputError

LEAF = "reminders"


class Text(BaseModel):
    """An attribute as DynamoDB writes it."""

    value: str = Field(alias="S")


class Result(BaseModel):
    """What a reminder needs of a result of the classifier."""

    user_id: Text
    segment: Text
    observed_at: Text


class Images(BaseModel):
    """A row before and after a change; none before its first result, none after the last."""

    before: Result | None = Field(None, alias="OldImage")
    after: Result | None = Field(None, alias="NewImage")


class Change(BaseModel):
    """A record of the stream."""

    dynamodb: Images

    @classmethod
    def parse(cls, record: object) -> Self:
        """Raises InputError, which names fields and shows no value."""
        try:
            return cls.model_validate(record)
        except ValidationError as exc:
            where = ".".join(map(str, exc.errors()[0]["loc"]))
            raise InputError("is not a change of a result", field=where) from None


class Reminder(BaseModel):
    """A row of `reminders/dt=D/`: somebody to write to."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    segment_before: str
    observed_at: str = Field(description="when the event was that moved them, UTC")
