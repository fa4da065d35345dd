"""Every setting, read from the environment once and passed down; no other module reads it.

Each variable has a line in docs/operations.md.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_MODEL = "SmolLM2-135M-Instruct"


Network = IPv4Network | IPv6Network
Amount = Annotated[float, Field(allow_inf_nan=False)]


class SettingsError(Exception):
    """A setting has a value that cannot be used; the message names the variable."""


class Settings(BaseSettings):
    """Frozen settings; field `x` is the variable `ANTIPHON_X` unless an alias says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="ANTIPHON_", frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=1, le=65535)
    data_dir: Path = Path(".antiphon")
    model: str = Field(DEFAULT_MODEL, min_length=1)
    more_models: str = ""
    """Models served beside it, separated by commas; each has workers and a queue of its own."""
    dtype: Literal["auto", "float32", "bfloat16", "int8", "int4"] = "auto"
    """Type that is computed in, or in which weights are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    forward: Literal["auto", "openvino", "torch"] = "auto"
    """What computes the network: by itself OpenVINO on CPUs and torch on GPUs."""
    threads: int | None = Field(None, ge=1, le=1024)
    """CPU threads of a worker's forward pass; by itself all cores, shared out among the workers."""
    quantization: Literal["none", "int8"] = "none"
    """`int8` is the older spelling of `dtype` `int8`."""
    engine: Literal["transformers", "scripted"] = "transformers"
    workers: int = Field(1, ge=1, le=64)
    database_url: Annotated[str | None, Field(validation_alias="DATABASE_URL")] = None
    redis_url: Annotated[str | None, Field(validation_alias="REDIS_URL")] = None

    api_processes: int = Field(2, ge=1, le=64)
    api_threads: int = Field(1200, ge=64, le=10_000)
    api_bound: bool = True
    """Whether each API process keeps to one core; only where the system can bind it."""
    max_sequences: int = Field(64, ge=1, le=4096)
    """Responses one worker generates at a time."""
    kv_cache_gib: Amount = Field(2.0, gt=0)
    """Memory for cached keys and values, GiB; on CUDA nine tenths of what is free are taken."""
    kv_cache_dtype: Literal["auto", "int8"] = "auto"
    """Type of cached keys and values; by itself the one that is computed in."""
    drain_seconds: Amount = Field(5.0, ge=0)
    """How long a stopping worker lets running responses finish before it hands them back."""
    checkpoint_seconds: Amount = Field(2.0, ge=0)
    """Time between two checkpoints of what a worker runs; 0 makes none."""
    max_response_seconds: Amount = Field(3600.0, gt=0)
    """How long a response may run, from its first start and through all its attempts."""
    retention_days: Amount = Field(30.0, gt=0, le=36_500)
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks that webhooks may be delivered to besides public addresses."""
    call_margin: Amount | None = Field(None, ge=0, le=100)
    """Takes the place of `call_margin` in the profiles of all served models."""
    searxng_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    """The SearXNG server that `web_search` asks."""
    reasoning_events: Literal["specification", "openai"] = "specification"
    """How the events of reasoning text are named in streams."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    script_tokens: int = Field(20, ge=1)
    """Tokens of each answer of the scripted engine."""
    script_text: str = ""
    """What the scripted engine says instead of its words, a byte a token."""
    script_interval_ms: Amount = Field(10.0, ge=0)
    """Time between two steps of the scripted engine."""

    def each_model(self) -> "list[Settings]":
        """These settings for each served model alone; the first is for requests that name none."""
        more = [name.strip() for name in self.more_models.split(",")]
        names = dict.fromkeys([self.model, *filter(None, more)])
        return [self.model_copy(update={"model": name, "more_models": ""}) for name in names]

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        """Read `10.0.0.0/8, ::1/128`; a network's address must not have bits of a host."""
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("database_url")
    @classmethod
    def _psycopg_driver(cls, value: str | None) -> str | None:
        """Accept the spellings other tools use and name the driver that we install."""
        if not value:
            return None
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
            raise ValueError("must be a postgresql:// URL")
        return f"postgresql+psycopg://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be a redis://, rediss:// or unix:// URL")
        return value


def load_settings() -> Settings:
    """Read the environment; raises `SettingsError` naming every bad variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(map(_describe, error.errors()))) from None


def _describe(error: object) -> str:
    assert isinstance(error, dict)
    name = str(error["loc"][0])
    variable = name if name.isupper() else f"ANTIPHON_{name.upper()}"
    # An address may hold a password.
    shown = variable if variable.endswith("_URL") else f"{variable}={error['input']!r}"
    return f"{shown}: {error['msg']}"
