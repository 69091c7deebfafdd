from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.process import LAUNCH_SCRIPT, LOG_BYTES_MAX, Child, RunAs, is_running, run_as_for
from tests.local.processes import until


def _python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


async def test_a_child_is_known_by_id_and_start_time_until_it_ends(tmp_path: Path) -> None:
    child = Child("sleeper", _python("input()"), log=tmp_path / "log")
    assert await child.exited() == 1, "no standard input to wait on"
    assert "EOFError" in child.log_tail()
    assert not is_running(child.record)
    patient = Child("patient", _python("import signal; signal.pause()"), log=tmp_path / "log")
    assert is_running(patient.record)
    assert "EOFError" not in patient.log_tail(), "each run sees its own lines only"
    assert await patient.stop() == -signal.SIGTERM
    assert not is_running(patient.record)
    assert await patient.stop() == -signal.SIGTERM, "harmless when it has ended"


async def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    program = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
        "while True: signal.pause()"
    )
    child = Child("deaf", _python(program), log=tmp_path / "log")
    await until(lambda: "deaf" in child.log_tail(), "the handler is in place")
    assert await child.stop(patience_s=0.1) == -signal.SIGKILL


async def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    child = Child("talker", _python("print('new')"), log=log)
    assert await child.exited() == 0
    assert (log.read_text(), child.log_tail()) == ("new\n", "new")
    assert (tmp_path / "part.log.1").stat().st_size == LOG_BYTES_MAX + 1


async def test_a_log_that_grows_too_long_is_put_aside_while_its_process_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    program = (
        f"import sys\nprint('x' * {LOG_BYTES_MAX}, flush=True)\nprint('before', flush=True)\n"
        f"import os, time\nwhile os.path.getsize({str(log)!r}): time.sleep(0.01)\n"
        "print('after', flush=True)\ntime.sleep(600)"
    )
    child = Child("talker", _python(program), log=log)
    await until(lambda: "before" in child.log_tail(), "it has said much")
    child.bound_log()
    await until(lambda: "after" in child.log_tail(), "it goes on")
    assert log.read_text() == "after\n"
    assert (tmp_path / "part.log.1").read_text().endswith("x\nbefore\n")
    child.bound_log()
    assert log.read_text() == "after\n"
    await child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_program_whose_parent_is_gone_already_does_not_start() -> None:
    someone_else = "1"
    done = subprocess.run(
        [sys.executable, LAUNCH_SCRIPT, "15", someone_else, "-", "-", "--", "/bin/echo", "ran"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent ended before" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_nobody_may_enter_closed_folders_only_with_kept_access(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    secret = closed / "file"
    secret.touch(mode=0o600)
    # os.access asks with the real user id, as initdb does before it runs anything.
    program = "import os, sys; sys.exit(10 * os.access(sys.argv[1], os.R_OK) + (os.geteuid() == 0))"
    argv = ["/usr/bin/env", "python3", *_python(program, str(secret))[1:]]
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    run_as = run_as_for(closed)
    assert run_as == RunAs("nobody", keep_access=True)
    child = Child("reader", argv, log=tmp_path / "log", run_as=run_as, environment=environment)
    assert await child.exited() == 10, child.log_tail()
    assert run_as_for(Path("/usr/bin")) == RunAs("nobody", keep_access=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root becomes another user")
def test_an_ordinary_user_stays_who_they_are(tmp_path: Path) -> None:
    assert run_as_for(tmp_path) is None
