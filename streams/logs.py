"""Structured logs: one line per record, with the execution and the Kafka position as fields.

Give fields with `extra=`: `log.info("parked", extra={"execution_id": …, "position": position(message)})`.
"""

# ruff: noqa: D102 - what overrides is documented upstream

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

import orjson

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_FIELDS_FIRST = ("execution_id", "step_id", "position")
# Libraries that log each group change or retry at INFO.
_QUIET = ("aiokafka", "faust", "mode", "uvicorn")
_SAME_EVERY_S = 10.0
_SAME_KEPT_MAX = 1000


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the extra fields, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same for people: fields follow the message as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _extra(record).items())
        return super().formatMessage(record) + fields


class SameOnlyNowAndThen(logging.Filter):
    """Lets one of the same messages of a library through in ten seconds, and says how many it stands for.

    While a broker is away aiokafka complains of every try to every node, hundreds of times a second.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _QUIET:
            return True
        key, now_s = (record.name, str(record.msg)), self._now_s()
        told_s, held_back = self._told.get(key, (float("-inf"), 0))
        if now_s - told_s < _SAME_EVERY_S:
            self._told[key] = (told_s, held_back + 1)
            return False
        if len(self._told) >= _SAME_KEPT_MAX:
            self._told.clear()
        self._told[key] = (now_s, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} times before)", ()
        return True


def configure(level: Literal["DEBUG", "INFO", "WARNING", "ERROR"], *, as_json: bool) -> None:
    """Send the logs of this process to stderr, replacing what was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    if level != "DEBUG":
        handler.addFilter(SameOnlyNowAndThen())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)


def position(message: Any) -> str:
    """Return `topic/partition/offset` of a consumed record."""
    return f"{message.topic}/{message.partition}/{message.offset}"


def about(message: Any) -> dict[str, str]:
    """Return the fields of a consumed record that could not be read: its position, and the execution its key names."""
    fields = {"position": position(message)}
    try:
        return {"execution_id": str(UUID((message.key or b"").decode("ascii"))), **fields}
    except ValueError:
        return fields


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    first = {name: fields.pop(name) for name in _FIELDS_FIRST if name in fields}
    return first | fields
