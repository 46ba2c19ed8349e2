"""The settings: one instance, read from the environment and `.env`, checked before anything starts."""

import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVELOPMENT_SECRET = "development-only-secret-change-me-before-production"  # noqa: S105 - refused in production
SHORTEST_SECRET = 32
_WALL_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"


class SettingsError(Exception):
    """The settings can't be used as they are. The message names every fault, one a line."""


class Settings(BaseSettings):
    """Every setting with its default. Durations name their unit; the text of each is in `.env.example`."""

    model_config = SettingsConfigDict(
        env_file=os.environ.get("ENV_FILE", ".env"),
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    ENVIRONMENT: Literal["development", "production"] = "development"

    # Database. Empty MONGODB_URL: the embedded mongod, with its data under DATA_DIR.
    MONGODB_URL: str = ""
    DATABASE_NAME: str = Field(default="clinic", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    DATA_DIR: Path = Path("data")
    DATABASE_START_TIMEOUT_SECONDS: int = Field(default=30, ge=0, le=600)

    # Tokens.
    SECRET_KEY: str = DEVELOPMENT_SECRET
    ALGORITHM: Literal["HS256", "HS384", "HS512"] = "HS256"
    ACCESS_TOKEN_EXPIRE_MINUTES: int = Field(default=30, ge=1, le=1440)
    REFRESH_TOKEN_EXPIRE_DAYS: int = Field(default=7, ge=1, le=365)
    LOGIN_ATTEMPTS: int = Field(default=10, ge=1, le=1000)
    LOGIN_WINDOW_MINUTES: int = Field(default=15, ge=1, le=1440)

    # The carrier.
    TWILIO_ACCOUNT_SID: str = ""
    TWILIO_AUTH_TOKEN: str = ""
    TWILIO_PHONE_NUMBER: str = ""
    TWILIO_MESSAGING_SERVICE_SID: str = ""
    TWILIO_API_URL: str = "https://api.twilio.com"
    SMS_PER_SECOND: int = Field(default=10, ge=0, le=10_000)
    SMS_TIMEOUT_SECONDS: float = Field(default=10, gt=0, le=60)
    SMS_RECONCILE_AFTER_MINUTES: float = Field(default=30, gt=0, le=1440)
    SMS_QUIET_FROM: str = Field(default="21:00", pattern=_WALL_TIME)
    SMS_QUIET_UNTIL: str = Field(default="08:00", pattern=_WALL_TIME)

    # The web.
    FRONTEND_URL: str = "http://localhost:3000"
    PUBLIC_BASE_URL: str = "http://localhost:8000"
    MAX_BODY_BYTES: int = Field(default=262_144, ge=1024)

    # A clinic's policy where it sets none of its own.
    SLOT_MINUTES: int = Field(default=30, ge=5, le=480, multiple_of=5)
    BOOKING_HORIZON_DAYS: int = Field(default=60, ge=1, le=366)
    STAFF_HORIZON_DAYS: int = Field(default=200, ge=1, le=732)
    CONFIRM_WINDOW_MINUTES: int = Field(default=180, ge=0, le=10_080)
    CHECK_IN_WINDOW_MINUTES: int = Field(default=60, ge=0, le=1440)
    NO_SHOW_GRACE_MINUTES: int = Field(default=15, ge=0, le=1440)
    REMINDER_MINUTES: int = Field(default=180, ge=15, le=10_080)
    AUTO_CANCEL_MINUTES: int = Field(default=15, ge=0, le=10_080)

    # People.
    ADULT_AGE: int = Field(default=18, ge=1, le=99)
    DEFAULT_PHONE_REGION: str = Field(default="US", pattern=r"^[A-Z]{2}$")

    # Speed. Each can be switched off; docs/performance.md has its figure.
    RESPONSE_CACHE_ENABLED: bool = True
    REQUEST_BATCHING_ENABLED: bool = True
    ROUTE_INDEX_ENABLED: bool = True
    SLOT_HINTS_ENABLED: bool = True

    # Operations.
    SCHEDULER_ENABLED: bool = True
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    LOG_FILE: Path | None = None
    OTEL_ENABLED: bool = False

    @property
    def in_production(self) -> bool:
        """Whether this process serves real patients."""
        return self.ENVIRONMENT == "production"

    @property
    def has_carrier(self) -> bool:
        """Whether messages go to Twilio. Without its credentials, in development, they go to a simulated phone."""
        return bool(self.TWILIO_ACCOUNT_SID and self.TWILIO_AUTH_TOKEN)

    @property
    def offers_simulated_phone(self) -> bool:
        """Whether messages can be read and answered at `/dev/phone`: in development, without a carrier."""
        return not self.in_production and not self.has_carrier

    @cached_property
    def allowed_origins(self) -> list[str]:
        """The origins CORS admits: FRONTEND_URL, several separated by commas."""
        return [origin.strip().rstrip("/") for origin in self.FRONTEND_URL.split(",") if origin.strip()]

    def check(self) -> None:
        """Raises `SettingsError` that names every fault at once. Development asks for nothing."""
        if not self.in_production:
            return
        required = (
            *("MONGODB_URL", "FRONTEND_URL", "PUBLIC_BASE_URL"),
            *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
            *(() if self.TWILIO_MESSAGING_SERVICE_SID else ("TWILIO_PHONE_NUMBER",)),
        )
        faults = [
            f"{name} is not set" for name in required if name not in self.model_fields_set or not getattr(self, name)
        ]
        if self.SECRET_KEY == DEVELOPMENT_SECRET:
            faults.append("SECRET_KEY is the default of development")
        elif len(self.SECRET_KEY) < SHORTEST_SECRET:
            faults.append(f"SECRET_KEY is shorter than {SHORTEST_SECRET} characters")
        if any("*" in origin for origin in self.allowed_origins):
            faults.append("FRONTEND_URL admits every origin (*)")
        if faults:
            lines = "\n".join(f"  - {fault}" for fault in faults)
            raise SettingsError(f"These settings don't allow ENVIRONMENT=production:\n{lines}")


settings = Settings()
