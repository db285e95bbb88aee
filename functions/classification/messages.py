"""From queue records to scored messages: envelope, schema, one scoring call."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from functions.classification.contracts import Event, Result
from functions.classification.domain.schema import LARGEST, Inputs, encode
from functions.classification.domain.scoring import Model
from layers.runtime.parsing import first_error

# Fields that tell what a service wraps around a message, and how to have it sent as it is.
ENVELOPES: Final = {
    "SNS": ({"Type", "TopicArn", "Message"}, "turn on raw message delivery of the subscription"),
    "EventBridge": ({"detail-type", "detail"}, "set the target's input path to $.detail"),
}


@dataclass(frozen=True)
class Poison:
    """A message that can never succeed."""

    message_id: str
    body: str
    reason: str


@dataclass(frozen=True)
class Message:
    """A message whose envelope is sound."""

    message_id: str
    body: str
    event: Event
    observed_at: str


@dataclass(frozen=True)
class Scored:
    """Messages with their inputs and results, in the same order."""

    messages: list[Message]
    inputs: Inputs
    probabilities: np.ndarray
    results: list[Result]
    poison: list[Poison]

    def lines(self) -> str:
        """One line of JSON for each, with all features that were sent: a later model may know more of them."""
        return "".join(
            json.dumps(
                {
                    "event_id": result.event_id,
                    "user_id": result.user_id,
                    "observed_at": result.observed_at,
                    "features": {
                        name: value
                        for name, value in message.event.features.items()
                        if value is None or isinstance(value, str) or _is_number(value)
                    },
                    "probability": result.probability,
                    "segment": result.segment,
                    "model_version": result.model_version,
                },
                separators=(",", ":"),
            )
            + "\n"
            for message, result in zip(self.messages, self.results, strict=True)
        )


def utc_text(moment: datetime) -> str:
    """UTC with six digits of fraction: text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_messages(records: Iterable[Mapping[str, Any]], *, latest: datetime) -> tuple[list[Message], list[Poison]]:
    """Messages whose envelope is sound, and the others with their reason. `latest`: an event after it is refused."""
    messages, poison = [], []
    for record in records:
        body = record["body"]
        try:
            event = Event.model_validate_json(body)
        except ValidationError as exc:
            poison.append(Poison(record["messageId"], body, _reason(exc)))
            continue
        if event.observed_at > latest:
            poison.append(Poison(record["messageId"], body, "observed_at lies in the future"))
            continue
        try:
            observed_at = utc_text(event.observed_at)
        except OverflowError:  # the first day of the year 1, east of Greenwich
            poison.append(Poison(record["messageId"], body, "observed_at is out of range"))
            continue
        messages.append(Message(record["messageId"], body, event, observed_at))
    return messages, poison


def score_messages(messages: Sequence[Message], model: Model, now: datetime, result_days: int) -> Scored:
    """Check features against the model's schema and score those that pass, in one call. An absent feature is null."""
    features = model.specification.features
    needed = [f.name for f in features if not f.nullable]
    absent = [next((name for name in needed if name not in m.event.features), None) for m in messages]
    bad = {i: f"{name} is missing" for i, name in enumerate(absent) if name}
    whole = [i for i in range(len(messages)) if i not in bad]
    columns = {f.name: [messages[i].event.features.get(f.name) for i in whole] for f in features}
    inputs, wrong = encode(columns, features, typed=True)
    bad |= {whole[row]: reason for row, reason in wrong.items()}
    sound = np.array([row for row in range(len(whole)) if row not in wrong], dtype=np.int64)
    inputs = {name: values[sound] for name, values in inputs.items()}
    kept = [messages[whole[row]] for row in sound]
    p = model.score(inputs)
    stamp, expires_at = utc_text(now), int(now.timestamp()) + result_days * 86_400
    results = [
        Result.model_construct(
            user_id=m.event.user_id,
            observed_at=m.observed_at,
            event_id=m.event.event_id,
            probability=probability,
            segment=segment,
            model_version=model.version,
            classified_at=stamp,
            expires_at=expires_at,
        )
        for m, probability, segment in zip(kept, p.tolist(), model.segments(p), strict=True)
    ]
    poison = [Poison(messages[i].message_id, messages[i].body, reason) for i, reason in sorted(bad.items())]
    return Scored(kept, inputs, p, results, poison)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < LARGEST  # not so an infinity, no number, or endless digits


def _reason(error: ValidationError) -> str:
    body = error.errors(include_url=False, include_context=False)[0]["input"]
    for service, (fields, advice) in ENVELOPES.items():
        if isinstance(body, dict) and fields <= body.keys():
            return f"is an envelope of {service}, not an event: {advice}"
    return ": ".join(filter(None, first_error(error)))
