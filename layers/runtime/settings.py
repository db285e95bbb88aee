"""Base of every run-time settings class: the only place where the environment is read."""

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "TREFOIL_"


class Settings(BaseSettings):
    """Read from `TREFOIL_<FIELD>` variables; the stack writes them with `environment()`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    stage: str = Field("dev", description="name of the deployment")
    lake_bucket: str = Field("", description="bucket of data in and results out")
    models_bucket: str = Field("", description="bucket of immutable model versions")
    models_table: str = Field("", description="table of the model registry")
    runs_table: str = Field("", description="table of the run ledger")
    memory_mb: int = Field(
        0, validation_alias="AWS_LAMBDA_FUNCTION_MEMORY_SIZE", description="memory of this function (set by Lambda)"
    )

    def environment(self) -> dict[str, str]:
        """Variables that make a function read these same settings; fields left at their default are left out."""
        chosen: dict[str, Any] = self.model_dump(mode="json", include=self.model_fields_set - {"memory_mb"})
        return {PREFIX + name.upper(): str(value) for name, value in chosen.items()}
