"""What a deployment sets by environment variables; everything else is a connection or a declaration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, ValidationError, ValidationInfo, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shelfcast import storage
from shelfcast.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "SHELFCAST_"


def _located(uri: object, field: ValidationInfo) -> storage.Location:
    return storage.location(str(uri), f"{PREFIX}{str(field.field_name).upper()}")


StorageLocation = Annotated[storage.Location, PlainValidator(_located)]
"""A folder on a disk or below `s3://`."""


class EnvironmentSettings(BaseSettings):
    """What one kind of process is told: `SHELFCAST_<FIELD>` sets a field, the field's description says what to write."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Reads the settings; raises `ConfigurationError` that names the variable at fault."""
        try:
            return cls()
        except ValidationError as error:
            fault = error.errors()[0]
            field = str(fault["loc"][0])
            advice = cls.model_fields[field].description
            raise ConfigurationError(f"{PREFIX}{field.upper()} {_found(fault)}; {advice}.") from None


class Settings(EnvironmentSettings):
    """The deployment's settings.

    Attributes:
        home: Folder of what is not told to be elsewhere.
        profile: `laptop` or `platform`.
        landing: For change files and the Delta change log, a folder or `s3://bucket/prefix`.
        artifacts: For frozen frames, release bundles, exports and reports, likewise.
        alert_address: Where alert mails go.
        num_threads: Threads that one fit or query may use, at least 1.
        query_memory_gib: GiB that the queries of a backtest, or of the laptop's cold store, may hold before they spill to
            disk, at least 0.5.
        training_connection: Id of the connection that says where models are fitted.
    """

    home: Path = Path(".shelfcast")
    profile: Literal["laptop", "platform"] = Field("laptop", description="write one of: laptop, platform")
    landing: StorageLocation
    artifacts: StorageLocation
    alert_address: str = "forecast-oncall@shop.example"
    num_threads: int = Field(2, ge=1, description="write a whole number of 1 or more")
    query_memory_gib: float = Field(4, ge=0.5, allow_inf_nan=False, description="write a number of 0.5 or more")
    training_connection: str = "spark_default"

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, told: dict[str, Any]) -> dict[str, Any]:
        home = Path(told.get("home", ".shelfcast")).absolute()
        return {"landing": home / "landing", "artifacts": home / "artifacts", **told}


def _found(fault: "ErrorDetails") -> str:
    match fault["type"]:
        case "missing":
            return "is not set"
        case "too_short":  # of a secret, which is not shown
            return f"has {fault['ctx']['actual_length']} characters"
        case _:
            return f"is {fault['input']!r}"
