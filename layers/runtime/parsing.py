"""What a person, a schedule or another service sends, as one of our models; what stored documents fail with."""

import zlib
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from layers.runtime.errors import InputError

# Of bytes that are no document, or a document of another shape; too deep a one exhausts the parser.
MALFORMED: Final = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RecursionError, TypeError, ValueError),
    zlib.error,
)

Model = TypeVar("Model", bound=BaseModel)


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
