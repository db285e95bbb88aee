"""What a person, a schedule or another service sends, as one of our models; what stored documents fail with."""

import re
import zlib
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from layers.runtime.errors import InputError

# Of bytes that are no document, or a document of another shape; too deep a one exhausts the parser.
MALFORMED: Final = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RecursionError, TypeError, ValueError),
    zlib.error,
)

AHEAD: Final = timedelta(minutes=5)

Model = TypeVar("Model", bound=BaseModel)


def _day(value: Any) -> Any:
    """Pydantic alone would take a number of seconds for a date."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise PydanticCustomError("day", "a day is written YYYY-MM-DD")
    return value


def _zone(name: str) -> str:
    try:
        return name and ZoneInfo(name).key
    except (OSError, LookupError, ValueError) as exc:
        raise ValueError("is no IANA zone") from exc


Zone = Annotated[str, AfterValidator(_zone)]  # of time; "" is none
Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1970, 1, 1))]
# When a person said something; the newest word holds, however late or often it arrives.
Said = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 2, tzinfo=UTC), le=datetime(9999, 12, 30, tzinfo=UTC))]


def said_at(at: datetime | None, now: datetime) -> str:
    """When a word counts as said: in UTC with six digits, by default now. Raises InputError for the future."""
    moment = (at or now).astimezone(UTC)
    if moment > now + AHEAD:
        raise InputError("is not yet", field="body.at")
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def parsed(model: type[Model], event: Any) -> Model:
    """`event` as a `model`. Raises InputError that names the field at fault, never its value."""
    try:
        return model.model_validate(event)
    except ValidationError as exc:
        where, why = first_error(exc)
        # The original shows the values, and what is raised in a function is logged.
        raise InputError(why, field=where or model.__name__) from None


def first_error(error: ValidationError) -> tuple[str, str]:
    """(field, what is wrong with it), without its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"]
