"""What runs in a data directory, as the supervisor last wrote it and as it can be checked now.

`run/state.json` is for the owner alone, since addresses hold passwords. It may outlive a killed supervisor, so a
reader always checks that the process which wrote it is alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from local.data_dir import DataDir, read_json, write_private
from local.embedded import Addresses
from local.errors import LocalError
from local.process import ProcessRecord, is_running
from settings import Settings

FORMAT = 1

# starting: set before the first server; ready: all servers and workers answered once; stopping: until the end.
Status = Literal["starting", "ready", "stopping"]


@dataclass(frozen=True, slots=True)
class Part:
    """One supervised process.

    Attributes:
        kind: a server or one of our workers.
        ready: it answered (server) or wrote its ready file (worker) since its last start.
        ready_s: how long its last start took; None until ready.
        restarts: how often it was started again after it ended unasked, or was stuck.
        health: URL of its health endpoint; None for servers, and until it is ready.
    """

    name: str
    kind: Literal["server", "worker"]
    pid: int | None
    started: str | None
    log: str
    ready: bool
    ready_s: float | None
    restarts: int
    health: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """One instance: who supervises it, where its services are, what its parts do.

    Attributes:
        gateway: URL of the gateway; None when none is run.
    """

    status: Status
    supervisor: ProcessRecord
    addresses: Addresses | None
    parts: tuple[Part, ...] = field(default=())
    gateway: str | None = None

    def write(self, data_dir: DataDir) -> None:
        """Replace the state file."""
        write_private(data_dir.state_file, {"format": FORMAT, **asdict(self)})

    def public(self, *, secrets: bool = False) -> dict[str, Any]:
        """JSON value for `dawsos status`; passwords are masked unless asked for."""
        value = asdict(self)
        if self.addresses is not None and not secrets:
            value["addresses"] = {k: mask(v) for k, v in value["addresses"].items()}
        return value


def mask(url: str) -> str:
    """The URL with `***` for its password."""
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    if not at or ":" not in credentials:
        return url
    return urlunsplit(parts._replace(netloc=f"{credentials.split(':', 1)[0]}:***@{host}"))


def _parse(value: Mapping[str, Any]) -> State:
    addresses = value["addresses"]
    return State(
        status=value["status"],
        supervisor=ProcessRecord.from_json(value["supervisor"]),
        addresses=None if addresses is None else Addresses(**addresses),
        parts=tuple(Part(**part) for part in value["parts"]),
        gateway=value.get("gateway"),
    )


def running_state(data_dir: DataDir) -> State | None:
    """State of the instance if its supervisor is alive, else None."""
    value = read_json(data_dir.state_file)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        return None
    try:
        state = _parse(value)
    except (KeyError, TypeError, ValueError):
        return None
    return state if is_running(state.supervisor) else None


def connect(settings: Settings) -> Settings:
    """Settings with every address: given ones, and those of the instance running in `data_dir`.

    Raises:
        LocalError: an address is missing and no instance is ready there.
    """
    if None not in (settings.kafka, settings.postgres, settings.redis):
        return settings
    data_dir = DataDir(settings.data_dir)
    state = running_state(data_dir)
    if state is None or state.addresses is None:
        raise LocalError(
            f"nothing is running in {data_dir.path}: start it with `dawsos up`, or set "
            "DAWSOS_KAFKA, DAWSOS_POSTGRES and DAWSOS_REDIS"
        )
    return state.addresses.apply(settings)
