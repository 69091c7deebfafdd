"""The one folder that holds everything an instance has: lock, ports, passwords, data, logs, run state.

    lock            held (flock) by the process that runs the instance; says who that is
    instance.json   ports, passwords and cluster id; made once, readable by the owner only
    kafka/ postgres/ valkey/   data of the servers
    log/            one file per process
    run/            processes.json (what was started), state.json (what is ready), by workers NAME.starting, NAME.ready

The lock goes with its process, however that ends, so it can never be stale; what it cannot tell is whether servers
of a killed process are still alive. `stop_leftovers` finds those in processes.json and stops the ones it can prove
to be ours.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.errors import DataDirInUse, LocalError
from local.ports import free_port, is_free
from local.process import ProcessRecord, is_proven_ours, start_time, stop_recorded

PORT_NAMES = ("kafka", "kafka_controller", "postgres", "valkey", "gateway")


@dataclass(frozen=True, slots=True)
class Instance:
    """What has to be the same at every start of one data directory."""

    cluster_id: str
    postgres_password: str
    owner_password: str
    app_password: str
    redis_password: str
    ports: Mapping[str, int]

    @classmethod
    def new(cls) -> Instance:
        """Random passwords and identity, no ports yet."""
        # Kafka's own form of an id; one that starts with "-" would read as an option.
        cluster = b"\0" + secrets.token_bytes(15)
        return cls(
            base64.urlsafe_b64encode(cluster).decode().rstrip("="),
            *(secrets.token_urlsafe(24).replace("-", "x") for _ in range(4)),
            ports={},
        )


def write_private(path: Path, value: Any) -> None:
    """Write JSON that only the owner may read, so that a reader sees the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> Any:
    """The value in the file; None if there is no such file or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


class DataDir:
    """A data directory. Paths need no lock; as a context manager it holds the lock."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made yet; a relative path is taken from the working directory."""
        self.path = path.expanduser().resolve()
        self._lock: int | None = None

    @property
    def state_file(self) -> Path:
        """Written by the supervisor for `status`, `down` and clients."""
        return self.path / "run" / "state.json"

    def log_file(self, name: str) -> Path:
        """Output of one process."""
        return self.path / "log" / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        """A worker writes JSON with its pid here once it serves."""
        return self.path / "run" / f"{name}.ready"

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            DataDirInUse: another process has it; the text names it.
            LocalError: the directory cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # As root, Postgres runs as another user, who must be able to enter; the files stay private.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for name in ("log", "run"):
                (self.path / name).mkdir(exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LocalError(f"cannot use {self.path} as data directory: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise DataDirInUse(self._in_use()) from None
        holder = {"pid": os.getpid(), "started": start_time(os.getpid()), "argv": sys.argv}
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(holder).encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Whether some process, maybe this one, runs the instance."""
        try:
            probe = os.open(self.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(probe)
        return False

    def _in_use(self) -> str:
        holder = read_json(self.path / "lock") or {}
        who = f"process {holder.get('pid', '?')}"
        if holder.get("argv"):
            who += f" ({' '.join(holder['argv'])})"
        return (
            f"the data directory {self.path} is in use by {who}: stop it with `dawsos down`, "
            "or choose another directory with DAWSOS_DATA_DIR"
        )

    def instance(self) -> Instance:
        """Identity and passwords of this directory; made at the first call under the lock."""
        path = self.path / "instance.json"
        value = read_json(path)
        if value is None:
            if path.exists():
                raise LocalError(f"{path} is damaged: expected JSON; restore or remove {self.path}")
            instance = Instance.new()
            write_private(path, asdict(instance))
            return instance
        try:
            return Instance(**value)
        except TypeError as error:
            raise LocalError(f"{path} was written by another version: {error}") from error

    def choose_ports(self, fixed: Mapping[str, int | None], avoid: Iterable[str] = ()) -> Mapping[str, int]:
        """Recorded ports where they are still free, new ones else; recorded for the next start.

        Args:
            fixed: name → port the user asked for; these are returned unseen, the launcher reports a clash.
            avoid: names whose recorded port just turned out to be taken.
        """
        instance = self.instance()
        ports: dict[str, int] = {}
        for name in PORT_NAMES:
            port = fixed.get(name)
            recorded = instance.ports.get(name)
            if port is None and recorded is not None and name not in avoid and is_free(recorded):
                port = recorded
            if port is None or (port in ports.values() and fixed.get(name) is None):
                port = free_port({*ports.values(), *instance.ports.values()})
            ports[name] = port
        if ports != instance.ports:
            write_private(self.path / "instance.json", asdict(replace(instance, ports=ports)))
        return ports

    def record_processes(self, records: Iterable[ProcessRecord]) -> None:
        """Remember what runs now, for `stop_leftovers` of the next start."""
        write_private(self.path / "run" / "processes.json", [r.to_json() for r in records])

    def stop_leftovers(self) -> list[ProcessRecord]:
        """Stop what an earlier, killed run left behind; only what is proven to be ours.

        Returns:
            the processes that had to be stopped, in the order they were started.
        """
        leftovers: list[ProcessRecord] = []
        for value in read_json(self.path / "run" / "processes.json") or []:
            try:
                record = ProcessRecord.from_json(value)
            except (KeyError, TypeError, ValueError):
                continue
            if is_proven_ours(record, self.path):
                leftovers.append(record)
        # Workers were started last and need the servers to end well.
        for record in reversed(leftovers):
            stop_recorded(record)
        self.record_processes([])
        for path in (self.path / "run").glob("*.ready"):
            path.unlink(missing_ok=True)
        return leftovers
