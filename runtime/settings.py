"""Settings, built once at the start of a process and passed down.

In order of precedence: `load_settings(**overrides)`, the environment, a `.env` file in the working
directory. Variables are `NEXOVA_…`, nested by `__` (`NEXOVA_KAFKA__PARTITIONS`); five also work without the
prefix: MODEL_PATH, LOG_LEVEL, WORKERS, MAX_RETRIES, CACHE_TIMEOUT. Nothing is read at import.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from runtime.errors import SettingsError
from runtime.forecasting.settings import ForecastSettings
from runtime.processor_settings import ProcessorSettings
from runtime.setting_types import (
    LogLevel,
    OptionalPath,
    OptionalSecret,
    OptionalText,
    PublicKeys,
    SaslMechanism,
    SecurityProtocol,
    Servers,
)
from runtime.sources.settings import MqttSettings, RegistrySettings

PREFIX = "NEXOVA_"
_TOKEN = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<scope>read|operate|admin):(?P<hash>[0-9A-Fa-f]{64})")
_SECRET = re.compile("password|token", re.IGNORECASE)


class KafkaSettings(BaseModel):
    """Brokers, security of their connections, and the layout of topics."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    bootstrap_servers: Servers = Field(
        "127.0.0.1:9092", description="Bootstrap brokers, as host:port separated by commas."
    )
    partitions: int = Field(
        8,
        ge=1,
        le=1024,
        description="Partitions of topics keyed by machine; limits the number of workers. Must not change later.",
    )
    replication_factor: int = Field(
        1, ge=1, le=15, description="Replicas of each topic; 3 on a cluster of three brokers or more."
    )
    group: str = Field(
        "nexova-processor", min_length=1, max_length=200, description="Consumer group of the processors."
    )
    group_instance_id: OptionalText = Field(
        None,
        description="Stable name of this processor across restarts, such as its pod's: it gets its partitions back "
        "without a rebalance if it returns within the session; empty: a member like any other.",
    )
    session_seconds: float = Field(
        6.0,
        ge=6,
        le=300,
        description="Seconds without a heartbeat after which the brokers give a processor's partitions to others; "
        "longer than a restart where there is a group_instance_id.",
    )
    client_id: str = Field(
        "nexova", min_length=1, max_length=200, description="Client id shown in the brokers' logs and metrics."
    )
    max_message_bytes: int = Field(
        8_388_608,
        ge=65_536,
        le=104_857_600,
        description="Maximum size in bytes of a message that Nexova sends; topics have their own limits.",
    )
    security_protocol: SecurityProtocol = Field("PLAINTEXT", description="Protocol of the connections to the brokers.")
    sasl_mechanism: SaslMechanism = Field(None, description="SASL mechanism; only with SASL.")
    sasl_username: OptionalText = Field(None, description="SASL user name; only with SASL.")
    sasl_password: OptionalSecret = Field(None, description="SASL password; only with SASL. Never logged.")
    ssl_ca_file: OptionalPath = Field(
        None, description="PEM file of trusted certificate authorities; empty: the system's."
    )
    ssl_certificate_file: OptionalPath = Field(None, description="PEM file of the client certificate, for mutual TLS.")
    ssl_key_file: OptionalPath = Field(None, description="PEM file of the client's private key, for mutual TLS.")
    ssl_key_password: OptionalSecret = Field(None, description="Password of the private key. Never logged.")

    @model_validator(mode="after")
    def _credentials_fit_the_protocol(self) -> Self:
        wants_sasl = self.security_protocol.startswith("SASL_")
        given = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        protocol = self.security_protocol
        if wants_sasl and None in given:
            raise ValueError(f"security_protocol {protocol} needs sasl_mechanism, sasl_username, sasl_password")
        if not wants_sasl and any(given):
            raise ValueError(f"sasl_* is given with security_protocol {protocol}; set SASL_SSL, or remove sasl_*")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file belong together; give both or neither")
        return self


Scope = Literal["read", "operate", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A caller's name and scope, and the SHA-256 of its token as 64 hex digits."""

    name: str
    scope: Scope
    sha256: str


def _parse_tokens(text: str) -> tuple[ApiToken, ...]:
    tokens = []
    for number, part in enumerate(filter(None, (one.strip() for one in text.split(","))), start=1):
        found = _TOKEN.fullmatch(part)
        if found is None:
            # the value itself is not shown: it may be a token instead of its hash
            raise ValueError(
                f"entry {number} is not name:scope:hash with scope read, operate or admin and the token's SHA-256 "
                "as 64 hex digits; make one with `nexova token`"
            )
        tokens.append(ApiToken(name=found["name"], scope=cast("Scope", found["scope"]), sha256=found["hash"].lower()))
    names = [token.name for token in tokens]
    if len(set(names)) < len(names):
        raise ValueError("two tokens have the same name; a name stands for one caller in the log of changes")
    return tuple(tokens)


class ApiSettings(BaseModel):
    """Address, callers and limits of the API."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that the API listens on; any but the loopback address requires tokens.",
    )
    port: int = Field(8000, ge=1, le=65_535, description="Port that the API listens on.")
    tokens: OptionalSecret = Field(
        None,
        description="Tokens of callers, as name:scope:hash separated by commas; see `nexova token`. Never logged.",
    )
    max_body_bytes: int = Field(
        5_242_880,
        ge=1024,
        le=104_857_600,
        description="Maximum size in bytes of a request body; a larger one is refused.",
    )
    max_rows: int = Field(10_000, ge=1, le=100_000, description="Maximum number of rows in one request.")
    request_seconds: float = Field(30.0, gt=0.0, le=600.0, description="Timeout of a request in seconds.")
    requests_per_second: float = Field(
        5_000.0, gt=0.0, le=1e6, description="Requests per second allowed to one caller; bursts of twice as many."
    )
    forecasts_per_second: float = Field(
        50.0, gt=0.0, le=1e4, description="Forecasts per second allowed to one caller; bursts of twice as many."
    )
    failures_per_second: float = Field(
        5.0, gt=0.0, le=1e4, description="Wrong tokens per second allowed from one address; bursts of twice as many."
    )
    most_connections: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="Maximum number of open connections of a process; further ones are answered with 503.",
    )
    head_seconds: float = Field(
        10.0, gt=0.0, le=600.0, description="Timeout of a request's head in seconds; then its connection is closed."
    )
    stuck_seconds: float = Field(
        30.0,
        gt=0.0,
        le=600.0,
        description="Seconds after which a connection is closed whose client does not read what is sent.",
    )
    most_streams: int = Field(200, ge=1, le=10_000, description="Maximum number of open event streams.")
    most_alerts: int = Field(
        20_000,
        ge=100,
        le=1_000_000,
        description="Maximum number of alerts in memory; the oldest resolved ones are evicted first.",
    )
    most_machines: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Maximum number of machines in memory; the least recently seen are evicted first.",
    )
    recent_readings: int = Field(
        120, ge=1, le=10_000, description="Newest readings and scores of each machine kept in memory."
    )
    recent_hours: int = Field(336, ge=1, le=9_600, description="Newest energy windows of each machine kept in memory.")

    @field_validator("tokens")
    @classmethod
    def _tokens_can_be_read(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _parse_tokens(value.get_secret_value())
        return value

    @property
    def token_list(self) -> tuple[ApiToken, ...]:
        """The tokens, parsed; empty where none are set."""
        return () if self.tokens is None else _parse_tokens(self.tokens.get_secret_value())


def _bare(name: str) -> AliasChoices:
    return AliasChoices(f"{PREFIX}{name}", name)


class ForwarderSettings(BaseModel):
    """Address of a forwarder's pages, and its secrets; its other options are on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    web_host: str = Field(
        "127.0.0.1", min_length=1, description="Address of /metrics, /health and /ready; 0.0.0.0 in a container."
    )
    web_port: int = Field(6067, ge=1, le=65_535, description="Port of these pages.")
    token: OptionalSecret = Field(None, description="Bearer token for HTTP receivers. Never logged.")
    smtp_username: OptionalText = Field(None, description="User name at the mail server; empty: none is sent.")
    smtp_password: OptionalSecret = Field(None, description="Password at the mail server. Never logged.")


class ModelSettings(BaseModel):
    """Signatures of models."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    trusted_keys: PublicKeys = Field(
        None,
        description="Ed25519 public keys in base64, separated by commas: a model runs only if one of them signed its "
        "manifest; empty: signatures are not checked.",
    )
    signing_key_file: OptionalPath = Field(
        None, description="PEM file of the Ed25519 private key that signs what is trained; empty: no signature."
    )


class TracingSettings(BaseModel):
    """Destination of OpenTelemetry traces."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    endpoint: OptionalText = Field(
        None,
        description="OTLP over HTTP, as http://collector:4318/v1/traces: spans of alerts and deliveries go there; "
        "needs nexova[otel]. Empty: no traces.",
    )


class Settings(BaseSettings):
    """All settings of all processes; immutable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        # a Kubernetes service nexova-api brings variables NEXOVA_API_…; `nexova doctor` names unknown ones
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        validate_default=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    processor: ProcessorSettings = ProcessorSettings()
    forecasts: ForecastSettings = ForecastSettings()
    api: ApiSettings = ApiSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    models: ModelSettings = ModelSettings()
    registry: RegistrySettings = RegistrySettings()
    mqtt: MqttSettings = MqttSettings()
    tracing: TracingSettings = TracingSettings()
    plant_file: OptionalPath = Field(
        None, description="Plant file with sensors, machine types, limits and policies; empty: the shipped default."
    )
    model_path: str = Field(
        "models",
        min_length=1,
        validation_alias=_bare("MODEL_PATH"),
        description="Folder or bucket URL of the model repository.",
    )
    log_level: LogLevel = Field("INFO", validation_alias=_bare("LOG_LEVEL"), description="Minimum log level.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of log lines: text for people, json for log collectors."
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        validation_alias=_bare("WORKERS"),
        description="Number of worker processes of `nexova process` and `nexova serve`.",
    )
    max_retries: int = Field(
        5,
        ge=0,
        le=1000,
        validation_alias=_bare("MAX_RETRIES"),
        description="Retries before an unreachable broker ends the process.",
    )
    cache_timeout: float = Field(
        300.0,
        ge=0.0,
        le=86_400.0,
        validation_alias=_bare("CACHE_TIMEOUT"),
        description="Seconds for which the API caches forecasts, and between its checks for newer models.",
    )


def load_settings(**overrides: Any) -> Settings:
    """Build the settings; `overrides` win, nested ones are merged: `load_settings(kafka={"partitions": 4})`.

    Raises:
        SettingsError: names each variable, the value, the rule and where to change it, in one line.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(one) for one in error.errors(include_url=False))) from None
    except SourceError as error:
        raise SettingsError(f"{error}; nested settings have one variable each, such as {PREFIX}KAFKA__GROUP") from None


def variable_name(path: tuple[str, ...]) -> str:
    """Return the environment variable of the field at `path`, such as ("kafka", "group")."""
    name = "__".join(path).upper()
    return name if name.startswith(PREFIX) or name in bare_names() else PREFIX + name


def bare_names() -> frozenset[str]:
    """Return the variables that work without the prefix."""
    return frozenset(
        name.upper() for name, field in Settings.model_fields.items() if field.validation_alias is not None
    )


def _complaint(error: Any) -> str:
    path = tuple(str(part) for part in error["loc"])
    rule = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{variable_name(path)} is not a setting; see .env.example for all of them"
    if isinstance(error["input"], dict | BaseModel) or _SECRET.search(path[-1]):
        return f"{variable_name(path)}: {rule}; change it in the environment or in .env"
    return f"{variable_name(path)}={error['input']}: {rule}; change it in the environment or in .env"
