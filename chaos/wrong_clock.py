"""Run a worker whose clock is wrong: `python -m chaos.wrong_clock SECONDS worker orchestrator`.

The clocks a program asks for the time of day are shifted before anything of the product is loaded. Those that only
measure durations stay as they are, as on a machine whose date was set wrongly.
"""

import sys
import time
from datetime import UTC, datetime
from typing import Any


def shift(seconds: float) -> None:
    """Shift this process's time of day, for every module that is loaded from now on."""
    right, right_ns, right_clock = time.time, time.time_ns, time.clock_gettime

    def clock_gettime(clock: int) -> float:
        return right_clock(clock) + (seconds if clock == time.CLOCK_REALTIME else 0.0)

    changes: dict[str, Any] = {
        "time": lambda: right() + seconds,
        "time_ns": lambda: right_ns() + round(seconds * 1e9),
        "clock_gettime": clock_gettime,
    }
    for name, function in changes.items():
        setattr(time, name, function)
    # `datetime` asks the operating system itself; the product's only use of it in a worker goes through here.
    from db import artifact_rules

    artifact_rules.utc_now = lambda: datetime.fromtimestamp(time.time(), UTC)


def main() -> None:
    """Shift the clock, then be `dawsos` with the remaining arguments."""
    shift(float(sys.argv[1]))
    from cli.main import app

    app(sys.argv[2:])


if __name__ == "__main__":
    main()
