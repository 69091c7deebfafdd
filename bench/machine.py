"""What figures depend on: the machine, its versions, and how fast it is at this moment.

A shared host may be three times slower tomorrow, so every benchmark says what the same small work took just then.
"""

import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

_TURNS = 5
_ITEMS = 50_000
_ROUND_TRIPS = 2000
_ECHO = """
import socket, sys
place = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := place.recv(64):
    place.sendall(data)
"""


def machine() -> dict[str, Any]:
    """Return what the figures depend on; takes about half a second.

    `python_ms` is what the interpreter needs for a fixed amount of work, `round_trip_us` what a few bytes need to
    another process and back over loopback: two wake-ups.
    """
    return {
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "faust": version("faust-streaming"),
        "aiokafka": version("aiokafka"),
        "python_ms": round(min(_work_ms() for _ in range(_TURNS)), 1),
        "round_trip_us": round(_round_trip_us()),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class _Holding:
    __slots__ = ("units",)

    def __init__(self, units: int) -> None:
        self.units = units

    def value(self, price: int) -> int:
        return self.units * price


def _work_ms() -> float:
    """Objects, calls and dicts, as in an event's handling."""
    begun = time.perf_counter()
    total = 0
    for number in range(_ITEMS):
        row = {"holding": _Holding(number), "price": number & 7}
        total += row["holding"].value(row["price"])  # type: ignore[union-attr,arg-type]
    assert total > 0
    return (time.perf_counter() - begun) * 1000


def _round_trip_us() -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with subprocess.Popen([sys.executable, "-c", _ECHO, str(port)]):
            place, _ = server.accept()
            with place:
                place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                taken: list[float] = []
                for _ in range(_ROUND_TRIPS):
                    begun = time.perf_counter()
                    place.sendall(b"there and back")
                    place.recv(64)
                    taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1_000_000
