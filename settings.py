"""Every setting of the system in one frozen object, read once from the environment and `.env`.

A variable is `DAWSOS_` and the field's name in capitals (`DAWSOS_KAFKA`, `DAWSOS_DATA_DIR`). An address that is
not given means "embedded": `local/` starts the service and hands the address on. Addresses may hold passwords, so
they are `SecretStr`; the accessors at the end of `Settings` return them in the form clients want.

This module imports nothing of ours, so that every part may import it.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX = "DAWSOS_"

KAFKA_FORM = (
    "kafka://host:port[,host:port…] or "
    "kafka+ssl://[user:password@]host:port[,…][?mechanism=SCRAM-SHA-512&cafile=/path/ca.pem]"
)
POSTGRES_FORM = "postgresql://user:password@host:port/database[?sslmode=verify-full]"
REDIS_FORM = "redis://[user:password@]host:port[/db] or rediss://… for TLS"

REQUEST_KEYS_FORM = "name:tenant[|tenant…]:secret[,…], * for all tenants, secrets of 32 characters or more"

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SASL_MECHANISMS: tuple[SaslMechanism, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SettingsError(ValueError):
    """A setting is missing or not of its form; the text names the variable and what was expected."""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where Kafka is and how to prove who we are.

    Attributes:
        hosts: `host:port` of each bootstrap server, at least one.
        tls: encrypt and check the server's certificate.
        mechanism: SASL mechanism; None when there is no user.
        user: SASL user; None for no authentication.
        password: SASL password; never in the repr.
        cafile: PEM file of the authority to trust; None for the system's.
    """

    hosts: tuple[str, ...]
    tls: bool = False
    mechanism: SaslMechanism | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: str | None = None

    @classmethod
    def parse(cls, url: str) -> KafkaAddress:
        """Read a `DAWSOS_KAFKA` value; plain `host:port[,host:port]` is accepted too.

        Raises:
            ValueError: not of the form `KAFKA_FORM`; the text never repeats a password.
        """
        scheme, separator, rest = url.strip().partition("://")
        if not separator:
            scheme, rest = "kafka", url.strip()
        if scheme not in ("kafka", "kafka+ssl"):
            raise ValueError(f"unknown scheme {scheme!r}")
        location, _, query = rest.partition("?")
        credentials, at, host_list = location.rpartition("@")
        hosts = tuple(_host_port(part) for part in host_list.rstrip("/").split(","))
        options = dict(parse_qsl(query, keep_blank_values=True))
        mechanism = options.pop("mechanism", "SCRAM-SHA-512")
        cafile = options.pop("cafile", None)
        if options:
            raise ValueError(f"unknown option {sorted(options)[0]!r}, known: mechanism, cafile")
        if mechanism not in SASL_MECHANISMS:
            raise ValueError(f"unknown mechanism {mechanism!r}, known: {', '.join(SASL_MECHANISMS)}")
        tls = scheme == "kafka+ssl"
        if cafile is not None and not tls:
            raise ValueError("cafile needs the scheme kafka+ssl://")
        if not at:
            return cls(hosts=hosts, tls=tls, cafile=cafile)
        user, colon, password = credentials.partition(":")
        if not user or not colon:
            raise ValueError("the part before @ must be user:password")
        return cls(
            hosts=hosts,
            tls=tls,
            mechanism=cast(SaslMechanism, mechanism),
            user=unquote(user),
            password=unquote(password),
            cafile=cafile,
        )

    def client_kwargs(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client (producer, consumer, admin) takes."""
        kwargs: dict[str, Any] = {
            "bootstrap_servers": list(self.hosts),
            "security_protocol": ("SASL_" if self.user else "") + ("SSL" if self.tls else ""),
        }
        if not self.tls:
            kwargs["security_protocol"] += "PLAINTEXT"
        else:
            kwargs["ssl_context"] = ssl.create_default_context(cafile=self.cafile)
        if self.user:
            kwargs["sasl_mechanism"] = self.mechanism
            kwargs["sasl_plain_username"] = self.user
            kwargs["sasl_plain_password"] = self.password
        return kwargs


def cache_folder(configured: Path | None) -> Path:
    """Return the folder for what is fetched or made once: the setting, else the user's cache folder."""
    if configured is not None:
        return configured.expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dawsos"


def _host_port(text: str) -> str:
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"expected host:port, got {text.strip()!r}")
    return f"{host}:{int(port)}"


def parse_request_keys(text: str) -> dict[str, tuple[frozenset[str], bytes]]:
    """Read a `DAWSOS_REQUEST_KEYS` value: name → (tenants, secret).

    Raises:
        ValueError: not of the form `REQUEST_KEYS_FORM`; the text never repeats a secret.
    """
    keys: dict[str, tuple[frozenset[str], bytes]] = {}
    for number, part in enumerate(text.split(","), 1):
        name, _, rest = part.strip().partition(":")
        tenants, _, secret = rest.partition(":")
        if not name.replace("-", "").replace("_", "").isalnum() or name in keys:
            raise ValueError(f"key {number}: expected a name of its own, of letters, digits, - and _")
        if not tenants or len(secret) < 32:
            raise ValueError(
                f"key {name!r}: expected name:tenant[|tenant…]:secret, the secret of 32 characters or more"
            )
        keys[name] = (frozenset(tenants.split("|")), secret.encode())
    return keys


def _check_url(url: str, schemes: tuple[str, ...], *, database: bool) -> str:
    parts = urlsplit(url)
    if parts.scheme not in schemes:
        raise ValueError(f"unknown scheme {parts.scheme!r}")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 1 to 65535") from None
    if not parts.hostname:
        raise ValueError("the host is missing")
    if database and not parts.path.strip("/"):
        raise ValueError("the database name is missing")
    return url


def _items(separator: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(separator) if part.strip())


# A key must not travel in the clear, except to a server on this machine.
_PROVIDER_URL = r"^(https://[^/@]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)$"
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """All settings. Frozen; unknown variables are ignored; every limit is positive."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    kafka: SecretStr | None = Field(None, description=f"{KAFKA_FORM}; empty: embedded.")
    postgres: SecretStr | None = Field(None, description=f"{POSTGRES_FORM}, the application's role; empty: embedded.")
    postgres_admin: SecretStr | None = Field(
        None, description="Same form, the role that owns the schema; empty: DAWSOS_POSTGRES."
    )
    postgres_pipeline: SecretStr | None = Field(
        None, description="Same form, a role that may add packs; empty: DAWSOS_POSTGRES_ADMIN."
    )
    redis: SecretStr | None = Field(None, description=f"{REDIS_FORM}; empty: embedded.")

    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Put before every topic, group and client id.",
    )
    partitions: int = Field(8, ge=1, le=1024, description="Of every engine topic.")
    replication: int = Field(1, ge=1, le=16, description="Replication factor of every topic.")

    data_dir: Path = Field(Path(".dawsos"), description="All data of the embedded services.")
    cache_dir: Path | None = Field(
        None, description="What is fetched or made once for all instances; empty: the user's cache folder."
    )
    kafka_port: Port | None = Field(None, description="Fixed port, embedded Kafka; empty: free.")
    postgres_port: Port | None = Field(None, description="Fixed port, embedded Postgres.")
    redis_port: Port | None = Field(None, description="Fixed port, embedded Valkey.")
    kafka_flush_every_message: bool = Field(
        False, description="Embedded Kafka: fsync after every message (for honest benchmarks)."
    )
    kafka_optimizing: bool = Field(
        True, description="Embedded Kafka: optimize for days, not for minutes; `dawsos demo` does not by default."
    )
    start_timeout_s: float = Field(60.0, gt=0, description="For each service or worker to be ready.")

    patterns: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description=f"More pattern folders, separated by {os.pathsep!r}."
    )
    agents: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="More agents as module:Class, separated by commas."
    )
    catalogues: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description=f"Capability catalogues (JSON) of agents that run elsewhere, separated by {os.pathsep!r}."
    )
    ledger_repository: Path | None = Field(
        None, description="Git repository of the ledgers; empty: ledger.git in the data directory."
    )
    pack_tenants: Annotated[tuple[str, ...], NoDecode] = Field(
        ("demo",), description="Tenants that may build pricing packs, which all tenants share; separated by commas."
    )
    pack_folder: Path | None = Field(
        None, description="Folder of the market source `folder`: prices.csv, fx.csv, macro.csv, or .parquet."
    )
    pack_symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="US shares of the market source `polygon`, separated by commas."
    )
    pack_series: Annotated[tuple[str, ...], NoDecode] = Field(
        ("GDPC1", "UNRATE", "CPILFESL", "CPIAUCSL", "TB3MS", "T10Y2Y"),
        description="Series of the market sources `fred` and `fred_history`, separated by commas.",
    )
    ecb_url: str = Field(
        "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
        pattern=r"^https?://",
        description="The European Central Bank's table of reference rates, for the market source `ecb`.",
    )
    announcement_wait_s: float = Field(
        3600.0, gt=0, description="How long an announced pack may lack its rows before it becomes a dead letter."
    )
    policy: str = Field("nyse-close", min_length=1, description="Pricing policy of executions without a portfolio.")
    polygon_key: SecretStr | None = Field(None, description="API key of Polygon; empty: its capabilities say so.")
    polygon_url: str = Field("https://api.polygon.io", pattern=_PROVIDER_URL, description="Where Polygon answers.")
    fmp_key: SecretStr | None = Field(None, description="API key of Financial Modeling Prep.")
    fmp_url: str = Field("https://financialmodelingprep.com", pattern=_PROVIDER_URL, description="Where it answers.")
    fred_key: SecretStr | None = Field(None, description="API key of FRED and ALFRED.")
    fred_url: str = Field("https://api.stlouisfed.org", pattern=_PROVIDER_URL, description="Where FRED answers.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_json: bool = Field(False, description="Log one JSON object per line.")

    ready_file: Path | None = Field(
        None, description='A worker writes {"pid": …} here once it serves; set by `dawsos up`.'
    )

    health_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Where a worker's /livez, /readyz, /metrics listen; 0.0.0.0: everywhere.",
    )
    health_port: int = Field(0, ge=0, le=65535, description="Their port; 0: a free one, shown by `dawsos status`.")
    liveness_s: float = Field(
        30.0,
        gt=0,
        description="How long committed offsets may stand still while records wait; then /livez is red.",
    )

    steps_max: int = Field(500, ge=1, description="Steps of a compiled pattern.")
    foreach_items_max: int = Field(10_000, ge=1, description="Items of one foreach step.")
    attempts_max: int = Field(10, ge=1, description="Attempts of one step.")
    request_bytes_max: int = Field(1024 * 1024, ge=1024, description="An ExecuteRequest.")
    deadline_s_default: float = Field(120.0, gt=0, description="When a request names none.")
    deadline_s_max: float = Field(86_400.0, gt=0, description="The longest deadline.")
    artifact_bytes_max: int = Field(20 * 1024 * 1024, ge=1024, description="One value.")
    inline_bytes_max: int = Field(8192, ge=0, description="Larger values travel by reference to the artifact store.")
    result_inline_bytes_max: int = Field(768 * 1024, ge=0, description="All outputs inline in one result.")
    retention_s: float = Field(900.0, gt=0, description="Terminal records, for duplicates.")
    in_flight_max: int = Field(1024, ge=1, description="Executions that work at the same time; more are queued.")
    tenant_in_flight_max: int = Field(384, ge=1, description="The same for one tenant.")
    queued_max: int = Field(100_000, ge=1, description="Queued executions; beyond it requests stay in their topic.")

    gateway_host: str = Field("127.0.0.1", min_length=1, description="Address the gateway listens on.")
    gateway_port: Port | None = Field(
        None, description="Port of the gateway; empty: one that `dawsos up` chooses and keeps, else 8080."
    )
    gateway_wait_s: float = Field(
        30.0, ge=0, le=300, description="POST /execute waits so long for the result, unless the client says otherwise."
    )
    gateway_in_flight_max: int = Field(2000, ge=1, description="Requests that wait for a result at the same time.")
    sockets_max: int = Field(4000, ge=1, description="Websockets of one gateway.")
    sockets_user_max: int = Field(200, ge=1, description="Websockets of one user on one gateway.")
    requests_kept_days: float = Field(30.0, gt=0, description="How long the gateway knows a repeated request.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins whose pages may call the gateway, separated by commas."
    )
    rate_user_per_s: float = Field(100.0, gt=0, description="Requests of one user per second, over all gateways.")
    rate_tenant_per_s: float = Field(1000.0, gt=0, description="The same for one tenant.")
    auth_issuer: str | None = Field(
        None, description="OIDC issuer whose tokens the gateway accepts; empty: the demo's own tokens."
    )
    auth_audience: str = Field("dawsos", min_length=1, description="Audience a token must name.")
    auth_jwks_url: str | None = Field(None, description="Keys of the issuer; empty: found by OIDC discovery.")
    auth_algorithms: Annotated[tuple[str, ...], NoDecode] = Field(
        ("RS256", "ES256"), description="Signatures accepted from the issuer, separated by commas."
    )
    auth_tenant_claim: str = Field("tenant", min_length=1, description="Claim of a token that names the tenant.")
    auth_role_claim: str = Field("role", min_length=1, description="Claim that holds the role, or a list of them.")
    auth_demo_secret: SecretStr | None = Field(
        None,
        description="Secret of the demo's tokens (HS256, 32 characters or more); empty: made in the data directory.",
    )
    request_keys: SecretStr | None = Field(
        None, description=f"{REQUEST_KEYS_FORM}; an orchestrator then takes signed requests only. Empty: trusts all."
    )
    request_key: str | None = Field(None, description="Key this process signs requests with; empty: the first.")
    otel_endpoint: str | None = Field(
        None, pattern=r"^https?://", description="OTLP over HTTP, e.g. http://collector:4318; empty: no traces."
    )
    operations_tenant: str = Field(
        "demo", min_length=1, description="Tenant whose admins see dead letters of all tenants."
    )

    @field_validator("kafka")
    @classmethod
    def _kafka_form(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            KafkaAddress.parse(value.get_secret_value())
        return value

    @field_validator("postgres", "postgres_admin", "postgres_pipeline")
    @classmethod
    def _postgres_form(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value.get_secret_value(), ("postgresql", "postgres"), database=True)
        return value

    @field_validator("redis")
    @classmethod
    def _redis_form(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value.get_secret_value(), ("redis", "rediss"), database=False)
        return value

    @field_validator("patterns", "catalogues", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return _items(os.pathsep, value)

    @field_validator(
        "agents", "cors_origins", "auth_algorithms", "pack_tenants", "pack_symbols", "pack_series", mode="before"
    )
    @classmethod
    def _split_agents(cls, value: object) -> object:
        return _items(",", value)

    @field_validator("auth_algorithms")
    @classmethod
    def _asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ASYMMETRIC:
                raise ValueError(f"expected some of {', '.join(ASYMMETRIC)}, got {name!r}")
        return value

    @field_validator("request_keys")
    @classmethod
    def _request_keys_form(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_request_keys(value.get_secret_value())
        return value

    @field_validator("auth_demo_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("expected at least 32 characters")
        return value

    @field_validator("agents")
    @classmethod
    def _agent_form(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            module, colon, name = item.partition(":")
            if not colon or not name.isidentifier() or not module.replace(".", "_").isidentifier():
                raise ValueError(f"expected module:Class, got {item!r}")
        return value

    def kafka_url(self) -> str:
        """Kafka address as given, for child processes."""
        return _required("kafka", self.kafka)

    def kafka_address(self) -> KafkaAddress:
        """Parsed Kafka address; raises SettingsError when there is none."""
        return KafkaAddress.parse(self.kafka_url())

    def postgres_url(self) -> str:
        """URL of the application's role (row-level security applies)."""
        return _required("postgres", self.postgres)

    def postgres_admin_url(self) -> str:
        """URL of the role that owns the schema and runs migrations."""
        return _required("postgres", self.postgres_admin or self.postgres)

    def postgres_pipeline_url(self) -> str | None:
        """URL of the role that may add packs; None when neither it nor the owner's is given."""
        given = self.postgres_pipeline or self.postgres_admin
        return None if given is None else given.get_secret_value()

    def redis_url(self) -> str:
        """URL of Redis or Valkey."""
        return _required("redis", self.redis)

    def environment(self) -> dict[str, str]:
        """Variables that give another process these settings; holds passwords in the clear."""
        separators = {"patterns": os.pathsep, "catalogues": os.pathsep}
        variables: dict[str, str] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if value == info.default:
                continue
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
            elif isinstance(value, tuple):
                text = separators.get(name, ",").join(str(item) for item in value)
            else:
                text = str(value)
            variables[f"{ENV_PREFIX}{name.upper()}"] = text
        return variables

    def with_addresses(self, *, kafka: str, postgres: str, postgres_admin: str | None, redis: str) -> Self:
        """The same settings with all addresses filled in (checked like any other value)."""
        given = {
            "kafka": kafka,
            "postgres": postgres,
            "postgres_admin": postgres_admin or postgres,
            "redis": redis,
        }
        checked = load_settings(**given)
        return self.model_copy(update={name: getattr(checked, name) for name in given})


def _required(name: str, value: SecretStr | None) -> str:
    if value is None:
        raise SettingsError(
            f"{ENV_PREFIX}{name.upper()} is not set and no embedded service is running: "
            f"start one with `dawsos up`, or set it to {FORMS[name]}"
        )
    return value.get_secret_value()


FORMS: dict[str, str] = {
    "kafka": KAFKA_FORM,
    "postgres": POSTGRES_FORM,
    "postgres_admin": POSTGRES_FORM,
    "postgres_pipeline": POSTGRES_FORM,
    "redis": REDIS_FORM,
    "agents": "module:Class[,module:Class…]",
    "request_keys": REQUEST_KEYS_FORM,
}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and `.env`; arguments win over both.

    Raises:
        SettingsError: all faults at once, each naming its variable and the form it should have.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [_fault(dict(fault)) for fault in error.errors(include_url=False)]
    raise SettingsError("\n".join(lines))


def _fault(fault: dict[str, Any]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "?"
    name = name.lower().removeprefix(ENV_PREFIX.lower())
    reason = str(fault["msg"]).removeprefix("Value error, ")
    expected = f"; expected {FORMS[name]}" if name in FORMS else f", got {fault.get('input')!r}"
    return f"{ENV_PREFIX}{name.upper()}: {reason}{expected}"


def variables() -> dict[str, tuple[str, str]]:
    """Every variable with its default and meaning, in field order; feeds `.env.example`."""
    table: dict[str, tuple[str, str]] = {}
    for name, info in Settings.model_fields.items():
        default = info.default
        if isinstance(default, tuple):
            text = ",".join(map(str, default))
        else:
            text = "" if default is None else str(default)
        table[f"{ENV_PREFIX}{name.upper()}"] = (text, info.description or "")
    return table
