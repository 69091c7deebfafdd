"""Free TCP ports on the loopback address.

Ports are drawn below the range that systems hand to outgoing connections (32768 on Linux, 49152 on macOS), so that
a recorded port is not taken by some client's connection while we are down.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
PORT_MIN, PORT_MAX = 20_000, 32_000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A port nobody listens on; `taken` are ones promised to others.

    Raises:
        OSError: none of 200 draws was free.
    """
    for _ in range(200):
        port = random.randint(PORT_MIN, PORT_MAX)
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port found between {PORT_MIN} and {PORT_MAX} on {LOOPBACK}")
