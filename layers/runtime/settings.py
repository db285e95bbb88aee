"""Base of every run-time settings class: the only place where the environment is read."""

from dataclasses import fields
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from layers.runtime.files import Limits, Reading, named_columns

PREFIX = "TREFOIL_"


class Settings(BaseSettings):
    """Read from `TREFOIL_<FIELD>` variables; the stack writes them with `environment()`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    stage: str = Field("dev", description="name of the deployment")
    lake_bucket: str = Field("", description="bucket of data in and results out")
    models_bucket: str = Field("", description="bucket of immutable model versions")
    models_table: str = Field("", description="table of the model registry")
    runs_table: str = Field("", description="table of the run ledger")
    object_mb: int = Field(
        256, ge=1, description="largest file that is read whole, MB unpacked; a larger one is refused"
    )
    table_columns: int = Field(500, ge=3, description="most columns of a file that is read whole")
    table_cells: int = Field(20_000_000, ge=1_000, description="most rows times columns that are read whole")
    columns: str = Field(
        "",
        pattern=r"^([^=,]+=[^,]+(,[^=,]+=[^,]+)*)?$",
        description="what files call our columns: OURS=THEIRS,..; an id may be several, joined: `series_id=shop+item`",
    )
    dates: Literal["", "day-first", "month-first"] = Field(
        "", description="what comes first in 03/04/2019; empty: told from each file, and refused where it does not tell"
    )
    decimal: Literal["", ".", ","] = Field("", description="decimal sign of numbers like 1.234; empty: as above")
    memory_mb: int = Field(
        0, validation_alias="AWS_LAMBDA_FUNCTION_MEMORY_SIZE", description="memory of this function (set by Lambda)"
    )

    @property
    def limits(self) -> Limits:
        """What is refused because it does not fit into memory."""
        chosen = {field.name: getattr(self, field.name) for field in fields(Limits) if hasattr(self, field.name)}
        return Limits(**chosen)

    @property
    def reading(self) -> Reading:
        """How files are to be read, where they do not tell."""
        pairs = self.columns.split(",") if self.columns else ()
        return Reading(self.dates or None, self.decimal or None, named_columns(pairs))

    def environment(self) -> dict[str, str]:
        """Variables that make a function read these same settings; fields left at their default are left out."""
        chosen: dict[str, Any] = self.model_dump(mode="json", include=self.model_fields_set - {"memory_mb"})
        return {PREFIX + name.upper(): str(value) for name, value in chosen.items()}
