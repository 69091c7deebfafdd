import subprocess
import sys

import pytest

from streams import failstop
from streams.failstop import EXIT_FAIL_STOP, PauseWatch

SCRIPT = """
import atexit
from streams.failstop import fail_stop
atexit.register(print, "cleaned up")
try:
    fail_stop("broker gone", ConnectionError("no route"))
finally:
    print("went on")
"""


def test_the_process_ends_at_once_with_its_own_code() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_FAIL_STOP
    assert done.stdout == ""
    assert "fail-stop: broker gone" in done.stderr
    assert "no route" in done.stderr


def test_a_worker_that_was_paused_too_long_ends_before_it_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(Exception):
        pass

    def stop(reason: str, error: BaseException | None = None) -> None:
        raise Ended(reason)

    now = 100.0
    monkeypatch.setattr(failstop, "boot_clock_s", lambda: now)
    monkeypatch.setattr(failstop, "fail_stop", stop)
    watch = PauseWatch(limit_s=3.0)
    now = 103.0
    watch.check()
    now = 103.5
    with pytest.raises(Ended, match=r"paused for 3\.50 s, longest harmless pause is 3 s"):
        watch.check()
