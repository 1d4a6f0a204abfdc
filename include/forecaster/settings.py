"""What a forecaster is told by its environment."""

from typing import Literal

from pydantic import Field, PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from shelfcast.settings import EnvironmentSettings, StorageLocation


class ForecasterSettings(EnvironmentSettings):
    """Where a forecaster listens and what it serves.

    Attributes:
        hot_store_url: Address of Redis, with password.
        releases: Folder of the releases, or `s3://bucket/prefix`.
        forecaster_token: Bearer token, 16 characters or more: an empty one would let everybody in.
        forecaster_host: Where to listen.
        forecaster_port: Where to listen.
        stale_after_days: Oldest age, in days, of what is known of a series or customer that is still served, or `any`;
            `None` for what each model declares.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    hot_store_url: str = Field(description="write the address of Redis, with its password")
    releases: StorageLocation = Field(description="write the folder of the releases")
    forecaster_token: SecretStr = Field(SecretStr(""), min_length=16, description="give it 16 or more")
    forecaster_host: str = "127.0.0.1"
    forecaster_port: int = Field(description="write the port to listen on")
    stale_after_days: PositiveInt | Literal["any"] | None = Field(
        None,
        description="write a whole number of days, 1 or more, any, or nothing for what the models declare",
    )
