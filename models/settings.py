"""All settings of the server, read once from the environment and passed to what needs them.

No other module of the server reads environment variables. docs/settings.md is generated from here
by `make docs`.
"""

import json
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.vllm_args import VllmArgs

DEFAULT_MODEL = "SmolLM2-135M-Instruct"
SECRETS_DIR = Path("/run/secrets")
"""Folder where Docker, Swarm and Kubernetes put secrets: a file for each variable."""

Network = IPv4Network | IPv6Network
Amount = Annotated[float, Field(allow_inf_nan=False)]
EventNaming = Literal["openai", "specification"]
HostName = Annotated[str, Field(pattern=r"^(\*|[^\s/,@*]+)$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e\x80-\xff\t]*$")]
Origin = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^\s/,@*]+)$")]


_NOT_OF_VLLM = {
    "dtype": ("int8", "int4"),
    "forward": ("openvino", "torch"),
    "quantization": ("int8",),
    "kv_cache_dtype": ("int8",),
}
"""Values that mean something to our own engine alone, by setting."""


class McpServer(BaseModel):
    """An MCP server that the operator allows, at any address."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str = Field(pattern=r"^https?://[^\s]+$")
    headers: dict[str, HeaderValue] = Field(default_factory=dict, repr=False)


class SettingsError(Exception):
    """Raised for an invalid value of a setting; the message names the variable."""


class Settings(BaseSettings):
    """Immutable settings; field `x` is the variable `ANTIPHON_X` unless it has an alias."""

    model_config = SettingsConfigDict(
        env_prefix="ANTIPHON_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    host: str = Field("127.0.0.1", min_length=1)
    """Address that the API listens on. Other ones than those of loopback need an API key to exist;
    see [Open or closed](tenancy.md#open-or-closed)."""
    open_beyond_loopback: bool = False
    """`true` lets a server that has no API key listen on other addresses than those of loopback,
    open to everyone who reaches them. Once there is a key, requests need one anyway."""
    bootstrap_key_file: Path | None = None
    """File that `migrate` writes an API key with all scopes into, if it is empty or absent, or
    whose key it registers; see [Keys](tenancy.md#keys)."""
    port: int = Field(8000, ge=1, le=65535)
    """Port that the API listens on."""
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode] = ()
    """Names, separated by commas, that a request's `Host` may have besides those of loopback and
    the address that it was sent to: `api.example.com`, `.example.com` with all its subdomains, or
    `*` for any. A proxy that passes the host on needs its name here."""
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins of web pages that may send requests, separated by commas: `https://app.example.com`,
    or `*` for any. Others, except the server's own, are refused."""
    admin_hosts: Annotated[tuple[HostName, ...], NoDecode] = ()
    """Names of the same form, of which those are allowed too, under which the
    [admin API](tenancy.md#admin-api) is answered; by default it is on loopback only."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks of the proxies before this server, for example `10.0.0.2, fd00::/64`. What they say
    of a client in `X-Forwarded-For`, `-Proto` and `-Host`, or in `Forwarded`, counts, for limits by
    address too; what others say never does. See
    [Behind a proxy](operations.md#behind-a-proxy)."""
    tls_cert_file: Path | None = None
    """File with the certificate of the API, PEM, and those that lead to its root: the API is then
    served by https and wss alone. Read at the start."""
    tls_key_file: Path | None = None
    """File with the key of the certificate, PEM, not encrypted."""
    data_dir: Path = Path(".antiphon")
    """Folder of all data; see [Files](operations.md#files)."""
    model: str = Field(DEFAULT_MODEL, min_length=1)
    """Served model: the built-in default, a Hugging Face id (`owner/name`, `owner/name@revision`),
    a folder, also one of a LoRA adapter, or a `.gguf` file; see [engine.md](engine.md)."""
    model_aliases: Annotated[dict[str, str], NoDecode] = {}
    """Other names of served models, separated by commas: `gpt-5.5=SmolLM2-135M-Instruct`, for
    clients that know only the names of their own catalogue. `default` names the first model."""
    more_models: str = ""
    """Models served besides it, separated by commas. Each has workers and a queue of its own;
    requests name theirs in `model`."""
    chat_template: Path | None = None
    """File with a chat template (Jinja) for served weights that bring none: base models, which
    continue text, are refused without. Read at the start, by API and workers alike."""
    dtype: Literal["auto", "float32", "bfloat16", "int8", "int4"] = "auto"
    """Data type of the computation (`float32`, `bfloat16`) or of the stored weights (`int8`,
    `int4`); see [engine.md](engine.md). `auto`: bfloat16 on CUDA, the faster of both on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is a GPU."""
    forward: Literal["auto", "openvino", "torch"] = "auto"
    """Library of the forward pass: `openvino` (on CPUs) or `torch`. `auto`: OpenVINO on CPUs, where
    it can, else torch."""
    threads: int | None = Field(None, ge=1, le=1024)
    """CPU threads that compute in each worker. By default as many as the cores that the process may
    use of the machine, or of its container; `up` divides them among its workers. Several workers on
    one machine that are started otherwise need it."""
    quantization: Literal["none", "int8"] = "none"
    """`int8` is the older name of `ANTIPHON_DTYPE=int8`, and takes precedence over it."""
    engine: Literal["transformers", "vllm", "scripted"] = "transformers"
    """`transformers`: our own. `vllm` computes with [vLLM](engine.md#which-engine), on one or many
    GPUs: `make up ENGINE=vllm`. `scripted` answers with fixed words at a fixed rate, without
    weights: for load tests. The same for API and workers."""
    vllm_args: Annotated[VllmArgs, NoDecode] = VllmArgs()
    """Arguments of vLLM, as JSON: `{"tensor_parallel_size": 4}`; see
    [Arguments of vLLM](engine.md#arguments-of-vllm). The same for API and workers."""
    workers: int = Field(1, ge=1, le=64)
    """Worker processes that `up` starts for each model; each loads the weights."""
    database_url: Annotated[str | None, Field(validation_alias="DATABASE_URL")] = None
    """A Postgres 16 or newer of yours, `postgresql://…`, or a cluster, `postgresql://user@one,two/name`;
    `up` starts its own if this is not set."""
    database_maintenance_url: Annotated[
        str | None, Field(validation_alias="DATABASE_MAINTENANCE_URL")
    ] = None
    """The same database as the role `antiphon_maintenance`, for what workers and maintenance do for
    all projects at once; `DATABASE_URL` if this is not set. The API has no use for it."""
    secret_file: Path | None = None
    """File with the secrets that encrypt the server's own secrets in the database: those that sign
    webhooks, and keys of encrypted content. One a line, of at least 16 characters: the first
    encrypts, all decrypt, and a change is read while the processes run
    ([Keys](operations.md#keys-and-their-rotation)). The same for all processes. `up` makes one,
    `secret` in the data folder; without one, other processes store them in the clear."""
    content_keys_file: Path | None = None
    """File with the keys that encrypt content at rest, in the database and in Redis: 32 bytes in
    base64 (`openssl rand -base64 32`), one a line, the newest first
    ([Content at rest](operations.md#content-at-rest)). The same for all processes. Without one,
    content is in the clear."""
    redis_url: Annotated[str | None, Field(validation_alias="REDIS_URL")] = None
    """A Redis 7 or Valkey 8 or newer of yours, `redis://…`; `up` starts its own if this is not
    set."""
    otlp_endpoint: Annotated[str | None, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = (
        None
    )
    """Collector that [traces](operations.md#traces) are sent to, `http://…:4318`, as OTLP over
    HTTP. Needs `pip install '.[otel]'`. The other variables of OpenTelemetry hold, too, such as
    `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_TRACES_SAMPLER`."""
    trace_content: bool = False
    """`true` includes in traces what clients send and models write."""
    api_processes: int = Field(2, ge=1, le=64)
    """Processes of the API."""
    api_threads: int = Field(32, ge=4, le=10_000)
    """Threads of each of them that answer requests. Open streams, WebSockets and requests that wait
    for a response take none."""
    api_streams: int = Field(5000, ge=1, le=100_000)
    """Open streams, WebSockets and waiting requests that each of them holds. A thousand connections
    more may be open for other requests; beyond, those that wait longest for a request are
    closed."""
    api_client_streams: int = Field(2500, ge=1, le=100_000)
    """How many of them one API key may hold, or one address without a key; an IPv6 network of 64
    bits counts as one. Behind a proxy all clients without a key have its address, unless
    `ANTIPHON_TRUSTED_PROXIES` names it."""
    api_body_mib: int = Field(128, ge=64, le=1 << 20)
    """Memory of each of them for request bodies and WebSocket messages that are being received or
    handled, MiB. Larger ones than 1 MiB take up to three quarters of it, those of one key half of
    that. All of one key, or of one address without a key, take up to three quarters."""
    api_bound: bool = True
    """`true` binds each of these processes to one core, which makes it faster; on Linux only.
    `false` where cores are assigned by other means."""
    max_sequences: int = Field(64, ge=1, le=4096)
    """Responses that one worker generates at a time."""
    kv_cache_gib: Amount = Field(2.0, gt=0)
    """Memory of a worker for cached keys and values, and states of sequences, GiB. On CUDA nine
    tenths of the free memory are taken instead."""
    kv_cache_dtype: Literal["auto", "int8"] = "auto"
    """Data type of cached keys and values. `int8` stores them in 8 bits with scales: three fifths
    of what they take in bfloat16, three tenths of float32, with the built-in weights. On CPUs, in
    OpenVINO; refused elsewhere. `auto`: the type of the computation."""
    max_queued: int = Field(20_000, ge=1)
    """Responses in the background that may wait in the queue, about, and as many in the foreground;
    more are refused with a 503."""
    max_queued_per_project: int = Field(10_000, ge=1)
    """The same for one project, unless it has a limit of its own; more are refused with a 429."""
    valkey_mib: int = Field(1024, ge=64)
    """Memory of the Valkey that `up` starts, MiB. When it is full, live events are missing until
    some have expired, `store: false` is refused with a 503, and nothing else is lost."""
    drain_seconds: Amount = Field(5.0, ge=0)
    """Seconds that a stopping worker lets running responses finish before it hands them back."""
    checkpoint_seconds: Amount = Field(2.0, ge=0)
    """Seconds between two checkpoints of what a worker's responses have generated, in Postgres; 0
    disables them. What a lost worker *and* a lost Redis cost is generated again from there."""
    max_response_seconds: Amount = Field(3600.0, gt=0)
    """Seconds that a response may run, from its first start and through all its attempts; it then
    ends `incomplete` with the text so far."""
    retention_days: Amount = Field(30.0, gt=0, le=36_500)
    """Days that a finished response is kept."""
    audit_days: Amount = Field(400.0, gt=0, le=36_500)
    """Days that entries of the [audit trail](tenancy.md#audit) are kept."""
    unstored_seconds: int = Field(600, ge=1, le=86_400)
    """Seconds that a background response with `store: false` can be read after its end. Its content
    is in Redis alone, encrypted; the same for all processes."""
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks that webhooks may be delivered to besides public addresses, for example
    `10.0.0.0/8, 127.0.0.0/8`."""
    webhook_rate: Amount = Field(10.0, gt=0)
    """Webhook deliveries per second, on average, to the endpoints of one project at one host; more
    wait. To each endpoint, up to 8 are under way at a time."""
    call_margin: Amount | None = Field(None, ge=0, le=100)
    """Overrides `call_margin` in the [profiles](operations.md#profiles-of-weights) of all served
    models."""
    image_urls: bool = False
    """`true` lets requests name images by URL, which the API fetches before it accepts them: by
    https, from public addresses, 10 s at most. Without it, images are data URLs."""
    image_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks that images may be fetched from besides public addresses, by http too, for example
    `10.1.2.0/24`."""
    searxng_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    """The [SearXNG](https://docs.searxng.org) server that `web_search` asks, `http://…` or
    `https://…`; its `search.formats` must have `json`. Needed by API and workers alike; without it,
    a search that is offered is left out, with the header `Antiphon-Warning`, and one that is
    demanded is refused."""
    strict_web_search: bool = False
    """Refuses requests that offer a web search where there is no SearXNG server, instead of leaving
    the search out."""
    mcp_servers: Annotated[dict[str, McpServer], NoDecode] = Field({}, repr=False)
    """MCP servers that `mcp` tools may name, at any address, as JSON: `{"wiki": {"url":
    "https://wiki.example/mcp", "headers": {"authorization": "Bearer …"}}}`. A request names one by
    its label or its URL; the headers are sent to it and shown to nobody. Needed by API and workers
    alike."""
    mcp_public_servers: bool = False
    """`true` lets requests name any other MCP server, at a public address, by https."""
    mcp_timeout_seconds: Amount = Field(60.0, gt=0, le=3600)
    """Seconds that one call of an MCP tool may take. One that takes longer has failed, for the
    model and the client; its server may complete it nevertheless."""
    reasoning_events: EventNaming = "openai"
    """`openai` names the events of reasoning text as OpenAI's clients know them,
    `response.reasoning_text.delta` and `.done`; `specification` as the specification does,
    `response.reasoning.delta` and `.done`. What is stored is the same; set it alike for all
    processes of the API. One request chooses by the header `Antiphon-Events`."""
    queue_places: bool = True
    """`true` tells clients where their queued responses are, and when they are expected to start
    ([Waiting](protocol.md#waiting)); `false` leaves that out."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""
    script_tokens: int = Field(20, ge=1)
    """Tokens of each answer of the scripted engine."""
    script_text: str = ""
    """Text that the scripted engine generates instead, a byte per token, tags of reasoning and
    calls included. Turns are separated by form feeds; the first that is not in the prompt is
    generated."""
    script_interval_ms: Amount = Field(10.0, ge=0)
    """Milliseconds between two tokens of the scripted engine."""

    def split_by_model(self) -> "list[Settings]":
        """Return one copy of the settings per served model; the first is the default model."""
        more = [name.strip() for name in self.more_models.split(",")]
        names = dict.fromkeys([self.model, *filter(None, more)])
        return [self.model_copy(update={"model": name, "more_models": ""}) for name in names]

    @field_validator(
        "data_dir",
        "chat_template",
        "secret_file",
        "content_keys_file",
        "bootstrap_key_file",
        "tls_cert_file",
        "tls_key_file",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("allowed_hosts", "admin_hosts", "allowed_origins", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Parse names separated by commas, in lower case; `*.name` is the same as `.name`."""
        if not isinstance(value, str):
            return value
        parts = [part.strip().lower() for part in value.split(",")]
        return tuple(
            part.removeprefix("*") if part.startswith("*.") else part for part in parts if part
        )

    @field_validator("model_aliases", mode="before")
    @classmethod
    def _aliases(cls, value: object) -> object:
        """Parse `alias=model, …`."""
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        aliases = {alias.strip(): model.strip() for alias, _, model in pairs}
        if "" in aliases or "" in aliases.values() or len(aliases) < len(pairs):
            raise ValueError("must be alias=model, separated by commas, each alias once")
        return aliases

    @field_validator("engine", "kv_cache_dtype")
    @classmethod
    def _only_ours(cls, value: str, info: ValidationInfo) -> str:
        """Refuse what only our own engine has, where vLLM computes."""
        engine = info.data.get("engine", value)
        if engine == "vllm":
            for name, values in _NOT_OF_VLLM.items():
                if (value if name == info.field_name else info.data.get(name)) in values:
                    raise ValueError(f"ANTIPHON_{name.upper()} is not for ANTIPHON_ENGINE=vllm")
        return value

    @field_validator("vllm_args", "mcp_servers", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        """Parse JSON; an empty text names nothing."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except ValueError:
            raise ValueError("must be JSON") from None

    @field_validator("webhook_networks", "image_networks", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        """Parse `10.0.0.0/8, ::1/128`; reject networks whose address has host bits set."""
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("database_url", "database_maintenance_url")
    @classmethod
    def _psycopg_driver(cls, value: str | None) -> str | None:
        """Accept the common URL schemes of Postgres and select the installed driver, psycopg."""
        if not value:
            return None
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
            raise ValueError("must be a postgresql:// URL")
        return f"postgresql+psycopg://{rest}"

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be a redis://, rediss:// or unix:// URL")
        return value


def variable_of(name: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"ANTIPHON_{name.upper()}"


def load_settings(secrets_dir: Path = SECRETS_DIR) -> Settings:
    """Read the settings from the environment, and from files in `secrets_dir` what is not there.

    A file has the name of the variable. Raises `SettingsError` naming every bad variable.
    """
    try:
        return Settings(_secrets_dir=secrets_dir if secrets_dir.is_dir() else None)
    except ValidationError as error:
        raise SettingsError("\n".join(map(_describe, error.errors()))) from None


def _describe(error: object) -> str:
    assert isinstance(error, dict)
    name = str(error["loc"][0])
    variable = name if name.isupper() else f"ANTIPHON_{name.upper()}"
    # A URL may contain a password, and a server's headers a token.
    is_secret = variable.endswith(("_URL", "_SERVERS"))
    inner = [key for key in error["loc"][1:] if isinstance(key, str)]
    named = ": ".join([variable, *inner[:1]])
    shown = variable if is_secret else f"{named}={error['input']!r}"
    return f"{shown}: {error['msg']}"
